"""A perceptron of several layers. Needs: PyTorch (`scripts/setup --torch`)."""

import torch
import torch.nn as nn

BATCH, SIZES = 32, [128, 256, 256, 64]


class Model(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.layers(x)


def get_inputs():
    return [torch.randn(BATCH, SIZES[0])]


def get_init_inputs():
    return [SIZES]
