"""A network of plain 3x3 convolutions, which cost least in 8 bits: a depthwise convolution takes ONNX Runtime as long as a full one of 64 channels.

Input and output as network.py's: RGB 0..255 [n, 3, h, w], sides multiples of 32 -> [n, 5, h/4, w/4].
The head runs at stride 8 and puts out four cells each.
"""
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

# Channels at strides 2 to 32; residual blocks at strides 4 to 32 and their inner channels; channels of the neck.
PLAIN = {"channels": (16, 32, 64, 128, 192), "blocks": (1, 3, 4, 2), "inner": (32, 64, 96, 128), "neck": 64}
# The layer that stays in float: a step of 8 bits in its logits is a fourteenth of the score.
CELLS = "cells"


def unit(inputs, outputs, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.a, self.b = unit(channels, inner, 3), unit(inner, channels, 3)
        nn.init.constant_(self.b[1].weight, 0.2)

    def forward(self, x):
        return F.relu(x + self.b(F.relu(self.a(x))))


def centred(x):
    return (x - 127.5) / 64


class Plain(nn.Module):
    """`taught`: with the 1x1 convolutions that compare its features with the teacher's in training."""

    def __init__(self, channels, blocks, inner, neck, taught=False):
        super().__init__()
        self.shape = {"channels": channels, "blocks": blocks, "inner": inner, "neck": neck}
        self.stem = unit(3, channels[0], 3, 2)
        self.down = nn.ModuleList(unit(a, b, 3, 2) for a, b in zip(channels, channels[1:]))
        self.stages = nn.ModuleList(nn.ModuleList(Residual(c, m) for _ in range(n)) for c, n, m in zip(channels[1:], blocks, inner))
        self.laterals = nn.ModuleList(unit(c, neck, 1) for c in channels[2:])
        self.mix16, self.mix8, self.last = unit(neck, neck, 3), unit(neck, neck, 3), unit(neck, neck, 3)
        self.out = nn.Conv2d(neck, 20, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias.data = torch.tensor([-4.6, 1.6, 1.6, 0, 0]).repeat_interleave(4)
        self.compare = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip((*channels[1:], neck), (24, 32, 96, 24, 96))) if taught else None

    def both(self, x):
        """(output, features to compare with the teacher's at strides 4, 8, 16, 32 and of its neck)"""
        y, side = F.relu(self.stem(centred(x))), []
        for down, stage in zip(self.down, self.stages):
            y = F.relu(down(y))
            for block in stage:
                y = block(y)
            side.append(y)
        y = F.relu(self.laterals[2](side[3]))
        for lateral, s, mix in ((self.laterals[1], side[2], self.mix16), (self.laterals[0], side[1], self.mix8)):
            y = F.relu(mix(F.interpolate(y, scale_factor=2, mode="nearest") + F.relu(lateral(s))))
        y = F.relu(self.last(y))
        features = [c(f) for c, f in zip(self.compare, (*side, y))] if self.compare else []
        if features:
            features[-1] = F.pixel_shuffle(features[-1], 2)
        # 16 bits are too few for where a box ends.
        with torch.autocast(x.device.type, enabled=False):
            return F.pixel_shuffle(self.out(y.float()), 2), features

    def forward(self, x):
        return self.both(x)[0]


def folded(layers):
    """A convolution with its batch norm."""
    convolution, norm = layers
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    result = nn.Conv2d(convolution.in_channels, convolution.out_channels, convolution.kernel_size, convolution.stride, convolution.padding)
    result.weight.data = convolution.weight.detach() * scale[:, None, None, None]
    result.bias.data = norm.bias.detach() - norm.running_mean * scale
    return result


def first(layers):
    """As `folded`, for pictures as they come. What lies outside them counts as 0, in training as grey: at their edges the two differ."""
    result = folded(layers)
    result.bias.data -= result.weight.data.sum((1, 2, 3)) * 127.5 / 64
    result.weight.data /= 64
    return result


def load(path):
    weights = {k: v.float() for k, v in torch.load(path, weights_only=True).items()}
    network = Plain(**PLAIN)
    missing, unknown = network.load_state_dict(weights, strict=False)
    # A counter of the batch norms, which nothing reads, is not kept.
    if unknown or any(not k.endswith(".num_batches_tracked") for k in missing):
        raise SystemExit(f"{path} holds another network")
    return network.eval()


class Graph:
    """Writes nodes and weights of an ONNX graph; every method returns the name of its output."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def node(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(self, layer, x, name):
        for part in ("weight", "bias"):
            self.weights.append(numpy_helper.from_array(getattr(layer, part).detach().numpy().astype(np.float32), f"{name}.{part}"))
        self.nodes.append(helper.make_node(
            "Conv", [x, f"{name}.weight", f"{name}.bias"], [name], name=name, group=layer.groups,
            kernel_shape=list(layer.kernel_size), strides=list(layer.stride), pads=list(layer.padding) * 2))
        return name

    def relu(self, x):
        return self.node("Relu", x)

    def model(self, outputs):
        picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
        graph = helper.make_graph(self.nodes, "unface", [picture], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def unit(self, layers, x, name):
        return self.relu(self.convolution(folded(layers), x, name))

    def twice(self, x):
        return self.node("Resize", x, "", "twice", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def export(network):
    """The ONNX model of a `Plain`, float, opset 17: `input` RGB 0..255 [1, 3, h, w] -> `heat` (after the sigmoid), `size`, `offset`, as CenterFace's."""
    g = Graph()
    g.weights.append(numpy_helper.from_array(np.float32([1, 1, 2, 2]), "twice"))
    y, side = g.relu(g.convolution(first(network.stem), "input", "stem")), []
    for k, (down, stage) in enumerate(zip(network.down, network.stages)):
        stride = 4 << k
        y = g.unit(down, y, f"down{stride}")
        for n, block in enumerate(stage):
            inner = g.unit(block.a, y, f"block{stride}.{n}.a")
            y = g.relu(g.node("Add", y, g.convolution(folded(block.b), inner, f"block{stride}.{n}.b")))
        side.append(y)
    y = g.unit(network.laterals[2], side[3], "lateral32")
    for k, stride, mix in ((1, 16, network.mix16), (0, 8, network.mix8)):
        y = g.unit(mix, g.node("Add", g.twice(y), g.unit(network.laterals[k], side[k + 1], f"lateral{stride}")), f"mix{stride}")
    cells = g.convolution(network.out, g.unit(network.last, y, "last"), CELLS)
    names = [("logit", 1), ("size", 2), ("offset", 2)]
    g.weights.append(numpy_helper.from_array(np.int64([n for _, n in names]), "channels"))
    g.nodes.append(helper.make_node("Split", [g.node("DepthToSpace", cells, blocksize=2, mode="CRD"), "channels"], [n for n, _ in names], name="split", axis=1))
    g.nodes.append(helper.make_node("Sigmoid", ["logit"], ["heat"], name="heat"))
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, "h4", "w4"]) for n, c in (("heat", 1), *names[1:])]
    return g.model(outputs)
