"""The network: CenterFace's graph with any number of hidden channels in each block.

A block is MobileNetV2's: 1x1 to `hidden` channels, ReLU, 3x3 depthwise, ReLU, 1x1 back. Input: RGB 0..255, [n, 3, h, w], sides multiples of 32. Output:
[n, 5, h/4, w/4]: logit, log(height/4), log(width/4), offsets of y and x in cells from the cell's centre.
"""
import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from quantise import fold

# input, hidden, output channels and stride of the sixteen blocks of the original; the last one's projection goes into the neck (quantise.py, step 1).
BLOCKS = [(16, 96, 24, 2), (24, 144, 24, 1), (24, 144, 32, 2), (32, 192, 32, 1), (32, 192, 32, 1), (32, 192, 64, 2), (64, 384, 64, 1), (64, 384, 64, 1),
          (64, 384, 64, 1), (64, 384, 96, 1), (96, 576, 96, 1), (96, 576, 96, 1), (96, 576, 160, 2), (160, 960, 160, 1), (160, 960, 160, 1), (160, 960, 24, 1)]
ORIGINAL = [b[1] for b in BLOCKS]
NECK = 24
# Blocks that training leaves as they are, behind the stem; 3 is a third faster, and what 2 and 3 lost by the cut stays lost.
FRONT = 0
LATERALS = {1: "lateral4", 4: "lateral8", 11: "lateral16"}


class Block(nn.Module):
    def __init__(self, inputs, hidden, outputs, stride):
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.expand = nn.Conv2d(inputs, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)

    def hidden(self, x):
        y, d = F.relu(self.expand(x)), self.depthwise
        if self.training and d.stride[0] == 2:
            # The same; the gradient of a depthwise convolution with a stride is slow on CPUs.
            return F.relu(F.conv2d(y, d.weight, d.bias, 1, 1, 1, d.groups)[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last))
        return F.relu(d(y))

    def forward(self, x):
        y = self.project(self.hidden(x))
        return x + y if self.residual else y


class Network(nn.Module):
    """`widths`: hidden channels of each block; 0 leaves a block with a shortcut out."""

    def __init__(self, widths=tuple(ORIGINAL)):
        super().__init__()
        self.widths = list(widths)
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1, groups=32), nn.ReLU(), nn.Conv2d(32, 16, 1))
        self.blocks = nn.ModuleList(Block(i, w, o, s) if w else nn.Identity() for (i, _, o, s), w in zip(BLOCKS, widths))
        self.up32, self.up16, self.up8 = (nn.ConvTranspose2d(NECK, NECK, 2, 2) for _ in range(3))
        self.lateral16, self.lateral8, self.lateral4 = nn.Conv2d(96, NECK, 1), nn.Conv2d(32, NECK, 1), nn.Conv2d(24, NECK, 1)
        self.mix, self.head = nn.Conv2d(NECK, 24, 3, 1, 1), nn.Conv2d(24, 5, 1)

    def front(self, x):
        """What stays as it is in training, the stem and the first FRONT blocks: the outputs of the last two of these."""
        y = before = self.stem(x)
        for block in self.blocks[:FRONT]:
            before, y = y, block(y)
        return before, y

    def rest(self, before, y):
        """From the front's outputs to (output, features that are compared with the teacher's)."""
        side = {FRONT - 2: before}
        for k, block in enumerate(self.blocks[FRONT:], FRONT):
            y = side[k] = block(y)
        output, fused = self.neck(y, side)
        return output, [side[4], side[11], y, fused]

    def neck(self, y, side):
        y = F.relu(self.up32(F.relu(y))) + F.relu(self.lateral16(side[11]))
        y = F.relu(self.up16(y)) + F.relu(self.lateral8(side[4]))
        y = F.relu(self.up8(y)) + F.relu(self.lateral4(side[1]))
        last = F.relu(self.mix(y))
        return self.head(last), y

    def forward(self, x):
        return self.rest(*self.front(x))[0]

    def convolutions(self):
        """In the order of the original's graph."""
        blocks = [m for b in self.blocks if isinstance(b, Block) for m in (b.expand, b.depthwise, b.project)]
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


class Graph:
    """Writes nodes and weights of an ONNX graph; every method returns the name of its output."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def node(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def convolution(self, layer, x, name, transposed=False):
        for part in ("weight", "bias"):
            self.weights.append(numpy_helper.from_array(getattr(layer, part).detach().numpy().astype(np.float32), f"{name}.{part}"))
        kind, pads = ("ConvTranspose", [0] * 4) if transposed else ("Conv", list(layer.padding) * 2)
        self.nodes.append(helper.make_node(
            kind, [x, f"{name}.weight", f"{name}.bias"], [name], name=name, group=layer.groups,
            kernel_shape=list(layer.kernel_size), strides=list(layer.stride), pads=pads))
        return name

    def relu(self, x):
        return self.node("Relu", x)

    def block(self, block, x, name):
        if not isinstance(block, Block):
            return x
        y = self.relu(self.convolution(block.expand, x, f"{name}.expand"))
        y = self.convolution(block.project, self.relu(self.convolution(block.depthwise, y, f"{name}.depthwise")), f"{name}.project")
        return self.node("Add", x, y) if block.residual else y

    def front(self, network):
        y = "input"
        for k, name in ((0, "stem.full"), (2, "stem.depthwise"), (4, "stem.project")):
            y = self.convolution(network.stem[k], y, name)
            y = self.relu(y) if k < 4 else y
        before = y
        for k in range(FRONT):
            before, y = y, self.block(network.blocks[k], y, f"b{k}")
        return before, y

    def model(self, outputs):
        picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
        graph = helper.make_graph(self.nodes, "unface", [picture], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def export(network, features=False):
    """The ONNX model, float, opset 17: `input` RGB 0..255 [1, 3, h, w] -> `heat` (after the sigmoid), `size`, `offset`, as CenterFace's; with `features`
    also those of `Network.rest`."""
    g = Graph()
    before, y = g.front(network)
    side, more = {FRONT - 2: before}, []
    for k in range(FRONT, len(network.blocks)):
        y = g.block(network.blocks[k], y, f"b{k}")
        side[k] = y
    more += [side[4], side[11], y]
    y = g.relu(y)
    for up, k in (("up32", 11), ("up16", 4), ("up8", 1)):
        lateral = g.relu(g.convolution(getattr(network, LATERALS[k]), side[k], LATERALS[k]))
        y = g.node("Add", g.relu(g.convolution(getattr(network, up), y, up, transposed=True)), lateral)
    more.append(y)
    y = g.relu(g.convolution(network.mix, y, "mix"))
    outputs = []
    for name, low, high in (("heat", 0, 1), ("size", 1, 3), ("offset", 3, 5)):
        head = nn.Conv2d(24, high - low, 1)
        head.weight.data, head.bias.data = network.head.weight.data[low:high], network.head.bias.data[low:high]
        z = g.convolution(head, y, name if name != "heat" else "logit")
        if name == "heat":
            g.nodes.append(helper.make_node("Sigmoid", [z], ["heat"], name="heat"))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, high - low, "h4", "w4"]))
    return g.model(outputs + ([helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, None, None, None]) for n in more] if features else []))


def export_front(network):
    """The ONNX model of `Network.front`."""
    g = Graph()
    return g.model([helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, None, None, None]) for n in dict.fromkeys(g.front(network))])
