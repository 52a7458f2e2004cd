"""CenterFace in PyTorch, the teacher.

A block is MobileNetV2's: 1x1 to `hidden` channels, ReLU, 3x3 depthwise, ReLU, 1x1 back. Input: RGB 0..255, [n, 3, h, w], sides multiples of 32. Output:
[n, 5, h/4, w/4]: logit, log(height/4), log(width/4), offsets of y and x in cells from the cell's centre.
"""
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

from quantise import fold

# input, hidden, output channels and stride of the sixteen blocks of the original; the last one's projection goes into the neck (quantise.py, step 1).
BLOCKS = [(16, 96, 24, 2), (24, 144, 24, 1), (24, 144, 32, 2), (32, 192, 32, 1), (32, 192, 32, 1), (32, 192, 64, 2), (64, 384, 64, 1), (64, 384, 64, 1),
          (64, 384, 64, 1), (64, 384, 96, 1), (96, 576, 96, 1), (96, 576, 96, 1), (96, 576, 160, 2), (160, 960, 160, 1), (160, 960, 160, 1), (160, 960, 24, 1)]
NECK = 24


class Block(nn.Module):
    def __init__(self, inputs, hidden, outputs, stride):
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.expand = nn.Conv2d(inputs, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)

    def forward(self, x):
        y = self.project(F.relu(self.depthwise(F.relu(self.expand(x)))))
        return x + y if self.residual else y


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1, groups=32), nn.ReLU(), nn.Conv2d(32, 16, 1))
        self.blocks = nn.ModuleList(Block(*b) for b in BLOCKS)
        self.up32, self.up16, self.up8 = (nn.ConvTranspose2d(NECK, NECK, 2, 2) for _ in range(3))
        self.lateral16, self.lateral8, self.lateral4 = nn.Conv2d(96, NECK, 1), nn.Conv2d(32, NECK, 1), nn.Conv2d(24, NECK, 1)
        self.mix, self.head = nn.Conv2d(NECK, 24, 3, 1, 1), nn.Conv2d(24, 5, 1)

    def neck(self, y, side):
        y = F.relu(self.up32(F.relu(y))) + F.relu(self.lateral16(side[11]))
        y = F.relu(self.up16(y)) + F.relu(self.lateral8(side[4]))
        y = F.relu(self.up8(y)) + F.relu(self.lateral4(side[1]))
        last = F.relu(self.mix(y))
        return self.head(last), y

    def both(self, x):
        """(output, features at strides 4, 8, 16, 32 and of the neck)"""
        y, side = self.stem(x), {}
        for k, block in enumerate(self.blocks):
            y = side[k] = block(y)
        output, fused = self.neck(y, side)
        return output, [side[1], side[4], side[11], y, fused]

    def forward(self, x):
        return self.both(x)[0]

    def convolutions(self):
        """In the order of the original's graph."""
        blocks = [m for b in self.blocks for m in (b.expand, b.depthwise, b.project)]
        return [self.stem[0], self.stem[2], self.stem[4], *blocks, self.up32, self.lateral16, self.up16, self.lateral8, self.up8, self.lateral4, self.mix]


def original(path):
    """CenterFace as its authors published it, folded."""
    graph = fold(onnx.load(path)).graph
    value = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose")]
    network = Network()
    with torch.no_grad():
        *body, heat, size, offset = nodes
        for layer, node in zip(network.convolutions(), body, strict=True):
            layer.weight.copy_(value[node.input[1]])
            layer.bias.copy_(value[node.input[2]] if len(node.input) > 2 else torch.zeros_like(layer.bias))
        network.head.weight.copy_(torch.cat([value[n.input[1]] for n in (heat, size, offset)]))
        network.head.bias.copy_(torch.cat([value[n.input[2]] if len(n.input) > 2 else torch.zeros(value[n.input[1]].shape[0]) for n in (heat, size, offset)]))
    return network.eval()
