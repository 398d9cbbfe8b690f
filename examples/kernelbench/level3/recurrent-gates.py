"""A gated recurrent cell over a short sequence; its last state and all of them. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, LENGTH, INPUTS, WIDTH = 16, 12, 32, 64


class Model(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.cell = nn.GRUCell(inputs, width)

    def forward(self, x):
        state = x.new_zeros(x.shape[0], self.cell.hidden_size)
        states = []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            states.append(state)
        return state, torch.stack(states, dim=1)


def get_inputs():
    return [torch.randn(BATCH, LENGTH, INPUTS)]


def get_init_inputs():
    return [INPUTS, WIDTH]
