#!/usr/bin/env python3
"""A network in 8 bits (QDQ) whose first layer is a 3 x 3 convolution of stride 2 -> the same network with a product of matrices there.

  python3 models/training/patches.py IN.onnx OUT.onnx

The new input, `patches`, is uint8 [1, h/2, w/2, 28]: what the convolution reads for each of its outputs, rows 2y - 1 to 2y + 1, in each columns
2x - 1 to 2x + 1, in each red, green, blue, 0 outside the picture, then one 0, as products go by fours. The outputs stay as they are to the bit. ONNX
Runtime has no fast convolution of three channels in 8 bits: with the input as planes that layer took a fifth of all time.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rewriting import Rewriting, command

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
    g, graph = Rewriting(model), model.graph
    quantised = g.reader(graph.input[0].name, "QuantizeLinear")
    scale, zero = (g.constant(n) for n in quantised.input[1:])
    convolution = g.reader(g.reader(quantised.output[0], "DequantizeLinear").output[0], "Conv")
    attributes = {a.name: helper.get_attribute_value(a) for a in convolution.attribute}
    stored = g.value[g.maker(convolution.input[1], "DequantizeLinear").input[0]]
    weights = numpy_helper.to_array(stored)
    # A scale this near 1 rounds no value of 0..255 to another.
    if abs(1 / scale - 1) * 255 >= 0.5 or zero != 0 or weights.shape[1:] != (3, 3, 3) or attributes["pads"] != [1] * 4 or attributes["strides"] != [2, 2]:
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


if __name__ == "__main__":
    command(from_patches, __doc__)
