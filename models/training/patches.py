#!/usr/bin/env python3
"""A network in 8 bits whose first layer is a 3 x 3 convolution of stride 2 -> the same network with a product of matrices there.

  python3 models/training/patches.py IN.onnx OUT.onnx

The new input, `patches`, is uint8 [1, h/2, w/2, 28]: what the convolution reads for each of its outputs, rows 2y - 1 to 2y + 1, in each columns
2x - 1 to 2x + 1, in each red, green, blue, 0 outside the picture, then one 0, as products go by fours. The outputs stay as they are to the bit. ONNX
Runtime has no fast convolution of three channels in 8 bits: with the input as planes that layer took a fifth of all time.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PATCH = 28


def patched(rgb):
    """[h, w, 3] uint8, sides even -> [1, h/2, w/2, PATCH]."""
    h, w = rgb.shape[:2]
    padded = np.pad(rgb, ((1, 0), (1, 0), (0, 0)))
    out = np.zeros((1, h // 2, w // 2, PATCH), np.uint8)
    for k in range(9):
        y, x = divmod(k, 3)
        out[0, :, :, 3 * k: 3 * k + 3] = padded[y: y + h: 2, x: x + w: 2]
    return out


def from_patches(model):
    graph = model.graph
    value, maker = {i.name: i for i in graph.initializer}, {o: n for n in graph.node for o in n.output}

    def reader(name):
        (node,) = (n for n in graph.node if name in n.input)
        return node

    quantised = reader(graph.input[0].name)
    scale, zero = (numpy_helper.to_array(value[n]) for n in quantised.input[1:])
    convolution = reader(reader(quantised.output[0]).output[0])
    attributes = {a.name: helper.get_attribute_value(a) for a in convolution.attribute}
    stored = value[maker[convolution.input[1]].input[0]]
    weights = numpy_helper.to_array(stored)
    # A scale this near 1 rounds no value of 0..255 to another.
    if abs(1 / scale - 1) * 255 >= 0.5 or zero != 0 or convolution.op_type != "Conv" or weights.shape[1:] != (3, 3, 3) or attributes["pads"] != [1] * 4 or attributes["strides"] != [2, 2]:
        raise SystemExit("the first layer is not a 3 x 3 convolution of stride 2 over 0..255 in 8 bits")
    rows = np.zeros((len(weights), PATCH, 1, 1), weights.dtype)
    rows[:, :27, 0, 0] = weights.transpose(0, 2, 3, 1).reshape(-1, 27)
    stored.CopyFrom(numpy_helper.from_array(rows, stored.name))
    convolution.CopyFrom(helper.make_node("Conv", convolution.input, convolution.output, name=convolution.name, kernel_shape=[1, 1]))
    # ONNX Runtime's own layout for 8 bits is this one, and so the transposition goes away when it loads the model.
    quantised.CopyFrom(helper.make_node("Transpose", ["patches"], quantised.output, name="patches.planes", perm=[0, 3, 1, 2]))
    graph.input[0].CopyFrom(helper.make_tensor_value_info("patches", TensorProto.UINT8, [1, "h2", "w2", PATCH]))
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    onnx.save(from_patches(onnx.load(sys.argv[1])), sys.argv[2])


if __name__ == "__main__":
    main()
