#!/usr/bin/env python3
"""Takes hidden channels out of CenterFace's blocks; what is left takes over by least squares. No training.

  python3 models/training/prune.py --cache CACHE --original models/centerface.onnx --cost 0.66 --out pruned.pt

1 Each block's hidden channels are put in order: backward elimination on their Gram matrix over positions of training crops, each time the channel
  whose loss is refitted best by the others (optimal brain surgeon for a linear read-out).
2 Each block alone is cut to some widths, the rest of the network runs on, and the change of the output is measured (the distillation loss).
3 The cheapest steps are taken (least change per millisecond) until the cost is reached.
4 The network is cut to these widths block after block: order and projection again by least squares, from what the cut network itself computes
  to what the original's block puts out.
"""
import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F

from export import load
from network import BLOCKS, LATERALS, ORIGINAL, Network, original
from sampling import Photos, Sampler

# ms a megapixel of each block's three convolutions and of all else: ONNX Runtime 1.32, one thread, AVX2, 8 bits as quantise.py makes them, in float from stride 32 on.
MS = [(9.1, 4.9, 2.3), (4.2, 5.5, 3.3), (4.1, 1.7, 0.9), (1.7, 2.1, 1.1), (1.6, 1.9, 1.1), (1.5, 0.6, 0.4), (1.3, 0.9, 1.0), (1.3, 0.9, 1.1),
      (1.3, 0.9, 1.0), (1.3, 0.9, 1.6), (2.6, 1.4, 2.4), (2.6, 1.4, 2.3), (4.7, 1.0, 1.9), (3.3, 0.5, 3.2), (3.3, 0.5, 3.2), (3.3, 0.5, 0.6)]
ELSE = 42.0
GRAIN, LEAST = 16, 0.35
# Changes count for more in the front, which training does not mend, and at stride 32, where large faces are seen: few crops show one.
FIXED, LARGE = 2.0, 4.0
POSITIONS = 24000


def cost(widths):
    return ELSE + sum(sum(ms) * w / full for ms, w, full in zip(MS, widths, ORIGINAL))


class Elimination:
    """Least squares from hidden channels (columns of `h`) to outputs, with fewer and fewer channels; rows weighted, outputs equally important."""

    def __init__(self, h, y, weight, ridge=1e-4):
        h, y, w = h.double(), y.double(), (weight / weight.sum()).double()[:, None]
        self.mean_h, self.mean_y = (w * h).sum(0), (w * y).sum(0)
        h, y = h - self.mean_h, y - self.mean_y
        self.scale = ((w * y ** 2).sum(0) + 1e-9).sqrt()
        gram = h.T @ (w * h)
        self.gram = gram + torch.eye(len(gram)).double() * (ridge * gram.diagonal().mean() + 1e-9)
        self.cross = h.T @ (w * y) / self.scale

    def order(self, widths):
        """{width: indices of the channels kept}"""
        keep, kept, inverse = torch.arange(len(self.gram)), {}, torch.linalg.inv(self.gram)
        weights = inverse @ self.cross
        while len(keep) >= min(widths):
            if len(keep) in widths:
                kept[len(keep)] = keep
            j = int(((weights ** 2).sum(1) / inverse.diagonal()).argmin())
            step, rest = inverse[:, j] / inverse[j, j], torch.arange(len(keep)) != j
            weights = (weights - step[:, None] * weights[j])[rest]
            inverse = (inverse - torch.outer(step, inverse[j]))[rest][:, rest]
            keep = keep[rest]
        return kept

    def fit(self, keep):
        """(weight [outputs, channels], bias [outputs]) for the channels kept."""
        b = torch.linalg.solve(self.gram[keep][:, keep], self.cross[keep]) * self.scale
        return b.T.float(), (self.mean_y - self.mean_h[keep] @ b).float()


def put(target, source, keep, weight, bias):
    """Writes block `source`'s kept channels into `target`, with a new projection."""
    for part in ("expand", "depthwise"):
        for name in ("weight", "bias"):
            getattr(getattr(target, part), name).data.copy_(getattr(getattr(source, part), name).data[keep])
    target.project.weight.data.copy_(weight[:, :, None, None])
    target.project.bias.data.copy_(bias)


def chunks(f, x, n=8):
    return torch.cat([f(x[i: i + n]) for i in range(0, len(x), n)])


def rows(t, picks):
    return t.permute(0, 2, 3, 1).reshape(-1, t.shape[1])[picks]


class Positions:
    """Random positions of a layer's outputs, weighted towards faces."""

    def __init__(self, marks):
        self.marks = marks

    def of(self, shape, seed):
        weight = 1 + 3 * F.adaptive_max_pool2d(self.marks, shape[-2:]).flatten()
        picks = torch.randperm(len(weight), generator=torch.Generator().manual_seed(seed))[:POSITIONS]
        return picks, weight[picks]


def divergence(output, wanted):
    """How far an output is from the original's: the heat map's Bernoulli divergence and the boxes' differences where there is heat."""
    p = torch.sigmoid(wanted[:, 0])
    heat = F.binary_cross_entropy_with_logits(output[:, 0], p, reduction="none") - F.binary_cross_entropy_with_logits(wanted[:, 0], p, reduction="none")
    boxes = F.smooth_l1_loss(output[:, 1:], wanted[:, 1:], reduction="none", beta=0.1).sum(1) * p * (p > 0.05)
    return float((heat.sum() + 0.5 * boxes.sum()) / p.sum())


def tail(network, first, x):
    """Blocks from `first` on and the rest, from block `first`'s input, with what the laterals need from before in `side`."""
    y, side = x
    side = dict(side)
    for k in range(first, len(network.blocks)):
        y = network.blocks[k](y)
        side[k] = y
    return network.neck(y, side)[0]


def widths_of(full):
    return sorted({max(GRAIN, round(full * s / GRAIN) * GRAIN) for s in (0.875, 0.75, 0.667, 0.583, 0.5, 0.417, LEAST)} - {full}, reverse=True)


@torch.no_grad()
def sensitivity(teacher, x, marks, seed):
    """[block][width] = change of the network's output with that block alone cut to that width."""
    table, side, positions, y, wanted = [], {}, Positions(marks), chunks(teacher.stem, x), chunks(teacher, x)
    for k, block in enumerate(teacher.blocks):
        full, h, out = ORIGINAL[k], chunks(block.hidden, y), chunks(block, y)
        picks, weight = positions.of(out.shape, seed + k)
        elimination = Elimination(rows(h, picks), rows(out - y if block.residual else out, picks), weight)
        order = elimination.order(widths_of(full))
        changes = {full: 0.0}
        for w in order:
            inputs, outputs = BLOCKS[k][0], BLOCKS[k][2]
            small = type(block)(inputs, w, outputs, BLOCKS[k][3])
            put(small, block, order[w], *elimination.fit(order[w]))
            teacher.blocks[k] = small
            parts = [tail(teacher, k, (y[i: i + 8], {s: v[i: i + 8] for s, v in side.items()})) for i in range(0, len(y), 8)]
            teacher.blocks[k] = block
            changes[w] = divergence(torch.cat(parts), wanted)
        table.append(changes)
        y = out
        if k in LATERALS:
            side[k] = out
        print(f"block {k}: " + ", ".join(f"{w} {c:.4f}" for w, c in changes.items()), flush=True)
    return table


def choose(table, share):
    """Widths of at most `share` of the original's cost, by the least change per millisecond."""
    widths = list(ORIGINAL)
    while cost(widths) > share * cost(ORIGINAL):
        steps = []
        for k, changes in enumerate(table):
            for w in (w for w in changes if w < widths[k]):
                saved = sum(MS[k]) * (widths[k] - w) / ORIGINAL[k]
                steps.append(((changes[w] - changes[widths[k]]) / saved * (FIXED if k < 3 else LARGE if k >= 12 else 1), k, w))
        _, k, w = min(steps)
        widths[k] = w
    return widths


@torch.no_grad()
def cut(teacher, widths, x, marks, seed):
    student, positions = Network(widths).eval(), Positions(marks)
    state = {k: v for k, v in teacher.state_dict().items() if not k.startswith("blocks.")}
    student.load_state_dict(state, strict=False)
    wanted = mine = chunks(teacher.stem, x)
    for k, (block, small) in enumerate(zip(teacher.blocks, student.blocks)):
        target = chunks(block, wanted)
        h = chunks(block.hidden, mine)
        picks, weight = positions.of(target.shape, seed + 100 + k)
        elimination = Elimination(rows(h, picks), rows(target - mine if block.residual else target, picks), weight)
        keep = elimination.order([widths[k]])[widths[k]]
        put(small, block, keep, *elimination.fit(keep))
        wanted, mine = target, chunks(small, mine)
        print(f"block {k}: {ORIGINAL[k]} -> {widths[k]}, unexplained {float(((wanted - mine) ** 2).mean() / wanted.var()):.4f}", flush=True)
    print(f"change of the output {divergence(chunks(student, x), chunks(teacher, x)):.4f}")
    return student


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--checkpoint", help="what train.py --uncut made, to be cut in place of the original")
    p.add_argument("--share", type=float, default=1.0, help="of its training, as in export.py")
    p.add_argument("--cost", type=float, default=0.66, help="share of the original's milliseconds")
    p.add_argument("--table", help="step 2's result: read if it is there, else written")
    p.add_argument("--crops", type=int, default=40)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    teacher = (load(a.checkpoint, a.share, a.original) if a.checkpoint else original(a.original)).to(memory_format=torch.channels_last)
    pictures, peaks, *_ = Sampler(Photos(a.cache), a.seed).batch(a.crops)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    marks = F.max_pool2d((torch.from_numpy(peaks) > 0.05).float()[:, None], 9, 1, 4)
    if a.table and Path(a.table).exists():
        table = [{int(w): c for w, c in changes.items()} for changes in json.loads(Path(a.table).read_text())]
    else:
        table = sensitivity(teacher, x, marks, a.seed)
    if a.table:
        Path(a.table).write_text(json.dumps(table))
    widths = choose(table, a.cost)
    print(f"widths {widths}, cost {cost(widths) / cost(ORIGINAL):.3f}")
    student = cut(teacher, widths, x, marks, a.seed)
    torch.save({"widths": widths, "weights": {k: v.half() for k, v in student.state_dict().items()}}, a.out)
    print(json.dumps({"parameters": sum(v.numel() for v in student.parameters())}))


if __name__ == "__main__":
    main()
