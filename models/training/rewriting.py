"""What rewriting the ONNX graph of a quantised network takes."""
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def is_depthwise(node):
    return next((a.i for a in node.attribute if a.name == "group"), 1) > 1


class Rewriting:
    """A graph of which some nodes are replaced."""

    def __init__(self, model):
        self.graph = model.graph
        self.value = {i.name: i for i in model.graph.initializer}
        self.makers = {o: n for n in model.graph.node for o in n.output}
        shapes = onnx.shape_inference.infer_shapes(model).graph.value_info
        self.channels = {v.name: v.type.tensor_type.shape.dim[1].dim_value for v in shapes if len(v.type.tensor_type.shape.dim) == 4}
        self.new, self.gone = {}, set()

    def of_type(self, *kinds):
        return [n for n in self.graph.node if n.op_type in kinds]

    def maker(self, name, kind):
        node = self.makers[name]
        if node.op_type != kind:
            raise SystemExit(f"{name} comes from {node.op_type} and not from {kind}")
        return node

    def reader(self, name, kind):
        (node,) = (n for n in self.graph.node if name in n.input)
        if node.op_type != kind:
            raise SystemExit(f"{name} goes into {node.op_type} and not into {kind}")
        return node

    def constant(self, name):
        return numpy_helper.to_array(self.value[name])

    def quantised(self, name):
        """(integers, scale, zero point) of what becomes the constant float tensor `name`."""
        return [self.constant(n) for n in self.maker(name, "DequantizeLinear").input]

    def keep(self, name, array):
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def replace(self, old, new):
        """The first of `old` becomes the nodes `new`, the others go."""
        self.new[old[0].output[0]] = new
        self.gone |= {n.output[0] for n in old}

    def finish(self):
        nodes = [m for n in self.graph.node for m in (self.new.get(n.output[0]) or ([] if n.output[0] in self.gone else [n]))]
        wanted, kept = {o.name for o in self.graph.output}, []
        for node in reversed(nodes):
            if wanted & set(node.output):
                wanted |= set(node.input)
                kept.insert(0, node)
        for field, left in ((self.graph.node, kept), (self.graph.initializer, [i for i in self.graph.initializer if i.name in wanted])):
            # Copies: the field owns what is cleared.
            left = [type(x).FromString(x.SerializeToString()) for x in left]
            del field[:]
            field.extend(left)
        del self.graph.value_info[:]


def command(rewrite, usage):
    """IN.onnx OUT.onnx, as arguments of a program."""
    if len(sys.argv) != 3:
        raise SystemExit(usage)
    onnx.save(rewrite(onnx.load(sys.argv[1])), sys.argv[2])
