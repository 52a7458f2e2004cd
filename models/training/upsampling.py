#!/usr/bin/env python3
"""A network in 8 bits (QDQ) -> the same network that doubles width and height by copying rows of memory.

  python3 models/training/upsampling.py IN.onnx OUT.onnx

ONNX Runtime keeps 8 bits as [1, h, w, c]. There [1, h, w, 2 c], of each place its left and its right half, is [1, h, 2 w, c] already, and rows are doubled
by a concatenation. Resize, ConvTranspose and DepthToSpace are written for any factor, for floats or for planes, and take ten times as long. Outputs stay as they
are but for the order in which floats are added.
"""
import numpy as np
import onnx
from onnx import helper

from rewriting import Rewriting, command


class Nodes(list):
    """New nodes, named after what they make."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def add(self, kind, inputs, part, **attributes):
        return self.make(kind, inputs, f"{self.name}.{part}", **attributes)

    def make(self, kind, inputs, output, **attributes):
        self.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def flat(self, planes, part):
        return self.add("Transpose", [planes], part, perm=[0, 2, 3, 1])


def doubled(g, nodes, upper, lower, channels, output, line=None):
    """`upper` and `lower`: [1, h, w, 2 channels], of each place the left and the right half -> [1, channels, 2 h, 2 w], named `output`. `line`: the shape
    of a row's lines, [1, h, 1, 2 w channels], where the two come in another one."""
    line = line or g.keep(f"{nodes.name}.line", np.int64([0, 0, 1, -1]))
    rows, batch = (g.keep(f"{nodes.name}.{part}", np.int64(to)) for part, to in (("rows", [0, -1, channels]), ("batch", [0])))
    lines = [nodes.add("Reshape", [x, line], f"{part}.line") for x, part in ((upper, "upper"), (lower, "lower"))]
    both = nodes.add("Flatten", [nodes.add("Concat", lines, "lines", axis=2)], "flat", axis=3)
    whole = nodes.add("Unsqueeze", [nodes.add("Reshape", [both, rows], "places"), batch], "whole")
    nodes.make("Transpose", [whole], output, perm=[0, 3, 1, 2])


def resize(g, node):
    before, after = g.maker(node.input[0], "DequantizeLinear"), g.reader(node.output[0], "QuantizeLinear")
    if list(g.constant(node.input[2])) != [1, 1, 2, 2] or any(g.constant(a) != g.constant(b) for a, b in zip(before.input[1:], after.input[1:])):
        raise SystemExit(f"{node.name} is more than a doubling")
    nodes = Nodes(node.output[0])
    twice = nodes.add("Concat", [nodes.flat(before.input[0], "place")] * 2, "twice", axis=3)
    doubled(g, nodes, twice, twice, g.channels[node.input[0]], after.output[0])
    g.replace([node, after], nodes)


def transposed(g, node):
    """A transposed convolution of 2 x 2 and stride 2: an ordinary one of 1 x 1 for each row, of twice the channels."""
    after = g.reader(node.output[0], "QuantizeLinear")
    (weights, scale, zero), bias = g.quantised(node.input[1]), g.quantised(node.input[2])
    inputs, channels = weights.shape[:2]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if weights.shape[2:] != (2, 2) or attributes["strides"] != [2, 2] or attributes["group"] != 1 or any(attributes["pads"]) or scale.shape != (channels,):
        raise SystemExit(f"{node.name} is no transposed convolution of 2 x 2")
    nodes, rows = Nodes(node.output[0]), []
    for y, part in ((0, "upper"), (1, "lower")):
        # [inputs, channels, columns] -> [columns x channels, inputs, 1, 1]
        halves = weights[:, :, y].transpose(2, 1, 0).reshape(2 * channels, inputs, 1, 1)
        parts = [g.keep(f"{nodes.name}.{part}.{name}", v) for name, v in (
            ("weight", halves), ("scale", np.tile(scale, 2)), ("zero", np.tile(zero, 2)),
            ("bias", np.tile(bias[0], 2)), ("bias.scale", np.tile(bias[1], 2)), ("bias.zero", np.tile(bias[2], 2)))]
        reads = [node.input[0], *(nodes.add("DequantizeLinear", parts[i: i + 3], f"{part}.read{i}", axis=0) for i in (0, 3))]
        made = nodes.add("Conv", reads, f"{part}.half", kernel_shape=[1, 1])
        rows.append(nodes.flat(nodes.add("QuantizeLinear", [made, *after.input[1:]], f"{part}.bits"), part))
    doubled(g, nodes, *rows, channels, after.output[0])
    g.replace([node, after], nodes)


def depth_to_space(g, node):
    """A convolution of 1 x 1 in floats of which each place becomes four: a product of matrices."""
    last = g.maker(node.input[0], "Conv")
    before = g.maker(last.input[0], "DequantizeLinear")
    weights, bias = (g.constant(n) for n in last.input[1:])
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if weights.shape[2:] != (1, 1) or attributes["blocksize"] != 2 or attributes["mode"] != b"CRD":
        raise SystemExit(f"{node.name} is not a doubling of CRD order behind a 1 x 1 convolution")
    channels = len(weights) // 4
    nodes = Nodes(node.output[0])
    bits = nodes.flat(before.input[0], "bits")
    height = nodes.add("Shape", [bits], "height", start=1, end=2)
    one, rest = (g.keep(f"{nodes.name}.{part}", np.int64([n])) for part, n in (("one", 1), ("rest", -1)))
    line = nodes.add("Concat", [one, height, one, rest], "line", axis=0)
    places = nodes.add("Flatten", [nodes.add("DequantizeLinear", [bits, *before.input[1:]], "place")], "places.flat", axis=3)
    # [channels, rows, columns, ...] -> [rows x columns x channels, ...]
    weights, bias = (v.reshape(channels, 2, 2, -1).transpose(1, 2, 0, 3).reshape(4 * channels, -1) for v in (weights, bias))
    product = nodes.add("Gemm", [places, g.keep(f"{nodes.name}.weight", weights.T), g.keep(f"{nodes.name}.bias", bias[:, 0])], "product")
    rows = [f"{nodes.name}.{part}" for part in ("upper", "lower")]
    nodes.append(helper.make_node("Split", [product], rows, name=f"{nodes.name}.split", axis=1))
    doubled(g, nodes, *rows, channels, node.output[0], line)
    g.replace([node, last], nodes)


def by_copies(model):
    g = Rewriting(model)
    for kind, rewrite in (("Resize", resize), ("ConvTranspose", transposed), ("DepthToSpace", depth_to_space)):
        for node in g.of_type(kind):
            rewrite(g, node)
    g.finish()
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    command(by_copies, __doc__)
