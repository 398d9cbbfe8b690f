import torch
import torch.nn as nn



class ModelNew(nn.Module):
    def forward(self, x):
        index = torch.full((4,), 1 << 20, device=x.device)
        return torch.softmax(x, dim=1) + x[index, 0].sum()
