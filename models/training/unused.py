#!/usr/bin/env python3
"""A network in 8 bits, packed -> the same without channels that say nothing.

  python3 models/training/unused.py --pictures FOLDER IN.onnx OUT.onnx

A tenth of CenterFace's hidden channels give one and the same number everywhere in every photo: behind ReLU they are never above 0, or their sum is less
than a step of 8 bits. Where the layer behind a depthwise convolution reads such a channel, the number times its weight is as good in the bias, and the channel,
with what makes it, can go. Exact to the bit wherever the channel is silent. Counts stay multiples of STEP: ONNX Runtime's depthwise kernels take channels in
sixteens, and anything else twice as long.

FOLDER: photos, all of which are looked at, a third of them at a part enlarged, as in quantise.py, for channels that only large faces wake.
"""
import argparse
import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from patches import patched
from pictures import enlarged, photos
from rewriting import is_depthwise

STEP = 16
LARGEST = (1024, 768)
# Inputs of a QLinearConv.
ZERO, WEIGHTS, SCALES, WEIGHTS_ZERO, BIAS = 2, 3, 4, 5, 8


def chains(graph):
    """(what makes the channels, the depthwise convolution, what reads them), each read by the next one only."""
    makers = {n.output[0]: n for n in graph.node}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type != "QLinearConv" or not is_depthwise(node):
            continue
        before, behind = makers[node.input[0]], readers[node.output[0]]
        if before.op_type == "QLinearConv" and readers[before.output[0]] == [node] and [n.op_type for n in behind] == ["QLinearConv"]:
            yield before, node, behind[0]


def every_photo(files):
    """Patches of each photo, or of a part of it enlarged."""
    rng = random.Random(2)
    for index, file in enumerate(files):
        picture = Image.open(file).convert("RGB")
        if index % 3 == 0:
            picture = enlarged(picture, rng)
        w, h = (max(32, min(side, most) // 32 * 32) for side, most in zip(picture.size, LARGEST))
        yield patched(np.asarray(picture.crop((0, 0, w, h))))


def ranges(model, names, inputs):
    """Least and largest number of each channel of these tensors."""
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    for name in names:
        probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))
    options = onnxruntime.SessionOptions()
    # As it is written: optimised, the tensors lie in another order.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = {}
    for patches in inputs:
        for name, out in zip(names, session.run(names, {model.graph.input[0].name: patches})):
            channels = out[0].reshape(out.shape[1], -1)
            least, most = found.get(name, (255, 0))
            found[name] = np.minimum(least, channels.min(1)), np.maximum(most, channels.max(1))
    return found


def without_unused(model, inputs):
    graph = model.graph
    value = {i.name: i for i in graph.initializer}
    array = lambda node, index: numpy_helper.to_array(value[node.input[index]])

    def put(node, index, numbers):
        value[node.input[index]].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numbers), node.input[index]))

    found = list(chains(graph))
    seen = ranges(model, [depthwise.output[0] for _, depthwise, _ in found], inputs)
    for before, depthwise, behind in found:
        least, most = seen[depthwise.output[0]]
        silent = np.flatnonzero(least == most)
        count = (len(silent) // STEP) * STEP
        if len(least) % STEP or not count:
            continue
        gone = silent[:count]
        left = np.setdiff1d(np.arange(len(least)), gone)
        weights = array(behind, WEIGHTS)
        zero = np.reshape(array(behind, WEIGHTS_ZERO), (-1, 1)).astype(np.int64)
        always = ((weights[:, gone, 0, 0] - zero) * (least[gone].astype(np.int64) - array(behind, ZERO))).sum(1)
        put(behind, BIAS, (array(behind, BIAS) + always).astype(np.int32))
        put(behind, WEIGHTS, weights[:, left])
        for node in (before, depthwise):
            for index in (WEIGHTS, SCALES, WEIGHTS_ZERO, BIAS):
                put(node, index, array(node, index)[left])
        next(a for a in depthwise.attribute if a.name == "group").i = len(left)
        print(f"{depthwise.name}: {len(least)} -> {len(left)} channels", flush=True)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pictures", type=Path, required=True)
    p.add_argument("model")
    p.add_argument("out")
    a = p.parse_args()
    onnx.save(without_unused(onnx.load(a.model), every_photo(photos(a.pictures))), a.out)


if __name__ == "__main__":
    main()
