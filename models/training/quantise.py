#!/usr/bin/env python3
"""Makes models/centerface-int8.onnx from the original CenterFace export.

  python3 scripts/setup.py --original                # models/centerface.onnx, checked
  python3 -m pip install -r models/training/requirements.txt
  python3 models/training/quantise.py --pictures FOLDER --out models/centerface-int8.onnx

Six steps, exact but the fourth:
 1 fold      the 960 -> 320 projection is linear and feeds the 320 -> 24 lateral only: one product of matrices. The neck's
             batch norms go into its transposed convolutions. Landmarks, which nothing reads, are left out.
 2 equalise  ReLU is homogeneous, so a channel may be scaled up before it and down after it. Ranges of the channels before
             a depthwise convolution become equal; before a pointwise one they are drawn together by the power ALPHA
             (Nagel et al. 2019, arXiv:1906.04721; Xiao et al. 2022, arXiv:2211.10438).
 3 calibrate ranges of all tensors on CALIBRATION pictures, cut at the 99.999th percentile. At stride 32 a picture has few numbers and a large face
            decides them: there ranges are those of VIEWS pictures and of a part of each enlarged, uncut, and a channel's is at least FLOOR of the
            widest one's. From CALIBRATION pictures alone channels that only large faces use were taken for silent, were scaled up 4000 times, and no
            face over 128 pixels was found.
 4 quantise  QDQ, weights signed and per channel, activations unsigned. Weights of ordinary convolutions use 7 bits: u8 x s8 products saturate
             in pairs on x86 without VNNI (with 8 bits 4.9 % instead of 1.6 % of the faces of wider_dev stayed exposed on such a machine). Depthwise
             kernels accumulate in 32 bits and keep 8. The last convolution at stride 32 is left out: ONNX Runtime 1.28 gives it 8 bits and one
             scale for all its weights when it fuses. None of its pairs saturated in 400 million of 60 photos.
 5 pack      the first layer as a product of matrices (patches.py), doublings as copies (upsampling.py), and fused as ONNX Runtime would when it opens it.
 6 unused    channels that say nothing are left out (unused.py).

FOLDER: photos with people, any size; the weights do not depend on who is in them, only ranges are read off. Deterministic for the same files.
"""
import argparse
import random
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from patches import from_patches
from pictures import SIZE, enlarged, photos
from rewriting import is_depthwise
from unused import every_photo, without_unused
from upsampling import by_copies

INPUT = "input.1"
ALPHA = 0.3
CALIBRATION = 32
EQUALISATION = 24
VIEWS = 120
FLOOR = 0.05
# The stride-32 part of the graph, by the names of its tensors: behind ReLU, and sums and what goes into them.
RECTIFIED = {"477", "480", "485", "488", "494", "497", "503", "506"}
LINEAR = {"481", "489", "491", "498", "500"}
FLOAT = {"509"}


def weights(graph):
    return {i.name: numpy_helper.to_array(i).copy() for i in graph.initializer}


def put(graph, name, values):
    tensor = numpy_helper.from_array(np.asarray(values, np.float32), name)
    for i in graph.initializer:
        if i.name == name:
            i.CopyFrom(tensor)
            return
    graph.initializer.append(tensor)


def fold(model):
    graph = model.graph
    value, maker = weights(graph), {o: n for n in graph.node for o in n.output}
    first, second = maker["507"], maker["509"]
    w1, b1 = value[first.input[1]][:, :, 0, 0], value[first.input[2]]
    w2, b2 = value[second.input[1]][:, :, 0, 0].astype(np.float64), value[second.input[2]]
    put(graph, "lateral32.weight", (w2 @ w1)[:, :, None, None])
    put(graph, "lateral32.bias", w2 @ b1 + b2)
    second.input[:] = [first.input[0], "lateral32.weight", "lateral32.bias"]
    graph.node.remove(first)
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = maker[norm.input[0]]
        gamma, beta, mean, variance = (value[k].astype(np.float64) for k in norm.input[1:5])
        scale = gamma / np.sqrt(variance + next(a.f for a in norm.attribute if a.name == "epsilon"))
        put(graph, conv.input[1], value[conv.input[1]] * scale[None, :, None, None])
        put(graph, conv.output[0] + ".bias", beta - mean * scale)
        conv.input.append(conv.output[0] + ".bias")
        for node in graph.node:
            node.input[:] = [conv.output[0] if x == norm.output[0] else x for x in node.input]
        graph.node.remove(norm)
    graph.node.remove(maker["540"])
    graph.output.remove(next(o for o in graph.output if o.name == "540"))
    used = {x for n in graph.node for x in n.input}
    for i in [i for i in graph.initializer if i.name not in used]:
        graph.initializer.remove(i)
    for i in [i for i in graph.input if i.name != INPUT]:
        graph.input.remove(i)
    for port, (h, w) in [(graph.input[0], ("h", "w")), *((o, ("h4", "w4")) for o in graph.output)]:
        dims = port.type.tensor_type.shape.dim
        dims[0].dim_value, dims[2].dim_param, dims[3].dim_param = 1, h, w
    del graph.value_info[:]
    model.ir_version = 8
    model = version_converter.convert_version(model, 17)
    for index, node in enumerate(model.graph.node):
        node.name = f"n{index}"
    return model


def tensor_of(picture):
    picture.thumbnail(SIZE)
    tensor = np.zeros((*SIZE[::-1], 3), np.float32)
    tensor[: picture.height, : picture.width] = picture
    return tensor.transpose(2, 0, 1)[None].copy()


def tensors(pictures, count):
    for path in pictures[:count]:
        yield tensor_of(Image.open(path).convert("RGB"))


def views(pictures):
    """Each picture, and a part of it enlarged."""
    rng = random.Random(2)
    for path in pictures[:VIEWS]:
        picture = Image.open(path).convert("RGB")
        yield tensor_of(picture.copy())
        yield tensor_of(enlarged(picture, rng))


def seen(model, names, inputs):
    """What the tensors of these names are, for each input: name and array."""
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    for name in names:
        probe.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    for tensor in inputs:
        yield from zip(names, session.run(names, {model.graph.input[0].name: tensor}))


def channels(model, names, inputs):
    """The 99.95th percentile of each channel's magnitude, the largest of the inputs'."""
    top = {}
    for name, out in seen(model, names, inputs):
        here = np.quantile(np.abs(out[0]).reshape(out.shape[1], -1), 0.9995, axis=1) + 1e-6
        top[name] = np.maximum(top.get(name, 0), here)
    return top


def ranges(model, names, pictures):
    """Of each channel; at stride 32 those of large faces too."""
    late = [n for n in names if n in RECTIFIED]
    top = channels(model, [n for n in names if n not in RECTIFIED], tensors(pictures, EQUALISATION))
    for name, here in channels(model, late, views(pictures)).items():
        top[name] = np.maximum(here, FLOOR * here.max())
    return top


def extremes(model, names, pictures):
    """Least and largest number of each tensor, 0 counted."""
    found = {name: (0.0, 0.0) for name in names}
    for name, out in seen(model, names, views(pictures)):
        least, most = found[name]
        found[name] = (min(least, float(out.min())), max(most, float(out.max())))
    return found


def equalise(model, pictures):
    graph, readers = model.graph, {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    pairs = []
    for conv in (n for n in graph.node if n.op_type == "Conv"):
        relu = readers.get(conv.output[0], [])
        after = readers.get(relu[0].output[0], []) if len(relu) == 1 and relu[0].op_type == "Relu" else []
        if len(after) == 1 and after[0].op_type == "Conv":
            pairs.append((conv, relu[0].output[0], after[0]))
    for _ in range(2):
        value, top = weights(graph), ranges(model, [p[1] for p in pairs], pictures)
        for before, name, after in pairs:
            power = 1.0 if is_depthwise(after) else ALPHA
            s = np.clip((top[name] / np.exp(np.log(top[name]).mean())) ** -power, 1 / 64, 64)
            value[before.input[1]] = value[before.input[1]] * s[:, None, None, None]
            value[before.input[2]] = value[before.input[2]] * s
            value[after.input[1]] = value[after.input[1]] / (s[:, None, None, None] if is_depthwise(after) else s[None, :, None, None])
        for name, array in value.items():
            put(graph, name, array)


class Reader(CalibrationDataReader):
    def __init__(self, name, pictures):
        self.name, self.rest = name, tensors(pictures, CALIBRATION)

    def get_next(self):
        tensor = next(self.rest, None)
        return None if tensor is None else {self.name: tensor}


def quantise(model, pictures, target, left_in_float, limits=None):
    """`left_in_float`: names of outputs of nodes that stay as they are. `limits`: least and largest number of tensors whose range is not calibrated."""
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        nodes = onnx.load(ready).graph.node
        full = {n.input[1]: [{"quant_type": QuantType.QInt8, "axis": 0, "reduce_range": False}] for n in nodes if n.op_type == "Conv" and is_depthwise(n)}
        for name, (least, most) in (limits or {}).items():
            full[name] = [{"quant_type": QuantType.QUInt8, "rmin": np.float32(least), "rmax": np.float32(most)}]
        left = [n.name for n in nodes if n.op_type in ("Exp", "Sigmoid") or n.output[0] in left_in_float]
        quantize_static(
            str(ready), str(target), Reader(model.graph.input[0].name, pictures), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, nodes_to_exclude=left,
            op_types_to_quantize=["Conv", "ConvTranspose", "Add", "Relu", "Clip", "Resize"],
            calibrate_method=CalibrationMethod.Percentile, extra_options={"TensorQuantOverrides": full},
        )


def pack(path):
    """As it is shipped: the first layer reads patches; doublings are copies; what ONNX Runtime fuses on any processor is fused, which spares it most of the time that opening takes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    model = by_copies(from_patches(onnx.load(path)))
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    used = {n.domain for n in model.graph.node}
    domains = [d for d in model.opset_import if d.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(domains)
    del model.graph.value_info[:]
    onnx.save(model, path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--pictures", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    files = photos(Path(a.pictures))
    pictures = files.copy()
    random.Random(1).shuffle(pictures)
    model = fold(onnx.load(a.original))
    equalise(model, pictures)
    quantise(model, pictures, a.out, FLOAT, extremes(model, sorted(RECTIFIED | LINEAR), pictures))
    pack(a.out)
    onnx.save(without_unused(onnx.load(a.out), every_photo(files)), a.out)


if __name__ == "__main__":
    main()
