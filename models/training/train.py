#!/usr/bin/env python3
"""Trains the cut network: what the original sees, corrected by the labels. Goes on from a checkpoint.

  python3 models/training/train.py --cache CACHE --original models/centerface.onnx --start pruned.pt --checkpoint models/training/checkpoint.pt --minutes 90
  (later) the same without --start

Two processes: one makes crops and runs on them, in ONNX Runtime, the original (the teacher) and the part of the network that stays as it is;
the other trains the rest. The checkpoint holds the weights, their running mean, and of a cut network the weights before any training, which export.py averages with.
"""
import argparse
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import onnxruntime
import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F

from network import FRONT, ORIGINAL, Network, export, export_front, original
from sampling import Photos, Sampler

AVERAGE = 0.995
# The teacher's heat where the labels say that there is nobody counts this much.
DOUBT = 0.3
# Heat that a labelled face's centre should have at least.
PEAK = 0.75


class RelativeAdam:
    """Adam whose steps are measured in units of each output channel's weights: the original's channels differ in scale by orders of magnitude."""

    def __init__(self, parameters, b1=0.9, b2=0.99):
        self.parameters, self.b1, self.b2, self.steps = parameters, b1, b2, 0
        self.first, self.second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        self.scales = [self.scale(p) for p in parameters]

    @staticmethod
    def scale(p):
        rms = p.detach().pow(2).mean().sqrt()
        if p.dim() < 4:
            return torch.full_like(p, max(0.02, 0.5 * float(rms)))
        return torch.maximum(p.detach().pow(2).mean((1, 2, 3), keepdim=True).sqrt(), 0.25 * rms)

    @torch.no_grad()
    def step(self, gradients, rate):
        self.steps += 1
        torch._foreach_lerp_(self.first, gradients, 1 - self.b1)
        torch._foreach_mul_(self.second, self.b2)
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - self.b2)
        root = torch._foreach_sqrt(torch._foreach_div(self.second, 1 - self.b2 ** self.steps))
        torch._foreach_add_(root, 1e-12)
        change = torch._foreach_div(self.first, root)
        torch._foreach_mul_(change, self.scales)
        torch._foreach_add_(self.parameters, change, alpha=-rate / (1 - self.b1 ** self.steps))


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def load(queue, a, front, seed):
    """Puts batches into the queue: (label maps, the teacher's outputs and features, the front's outputs), tensors each."""
    torch.set_num_threads(1)
    sampler, front = Sampler(Photos(a.cache), seed), session(front)
    teacher = session(export(original(a.original), features=True))
    while True:
        pictures, *maps = sampler.batch(a.batch)
        inputs = [p.transpose(2, 0, 1)[None].astype(np.float32) for p in pictures]
        taught = [np.concatenate(t) for t in zip(*(teacher.run(None, {"input": x}) for x in inputs))]
        begun = [np.concatenate(t) for t in zip(*(front.run(None, {"input": x}) for x in inputs))]
        queue.put(tuple([torch.from_numpy(np.ascontiguousarray(v)) for v in group] for group in (maps, taught, begun)))


class Norms:
    """Running means that the losses are divided by, so that a crop without faces does not count for more than one with many."""

    def __init__(self):
        self.means = {}

    def __call__(self, name, value):
        value = max(1.0, float(value))
        self.means[name] = 0.95 * self.means.get(name, value) + 0.05 * value
        return self.means[name]


def overlap_loss(a, b):
    """1 - IoU + squared distance of the centres over the hull's diagonal; channels log h, log w, y, x in cells (Zheng et al. 2020, arXiv:1911.08287)."""
    half_a, half_b = a[:, :2].clamp(-3, 6).exp() / 2, b[:, :2].exp() / 2
    low, high = torch.maximum(a[:, 2:] - half_a, b[:, 2:] - half_b), torch.minimum(a[:, 2:] + half_a, b[:, 2:] + half_b)
    hull = torch.maximum(a[:, 2:] + half_a, b[:, 2:] + half_b) - torch.minimum(a[:, 2:] - half_a, b[:, 2:] - half_b)
    both = (high - low).clamp(min=0).prod(1)
    union = 4 * (half_a.prod(1) + half_b.prod(1)) - both
    return 1 - both / (union + 1e-6) + (a[:, 2:] - b[:, 2:]).pow(2).sum(1) / (hull.pow(2).sum(1) + 1e-6)


def losses(output, features, maps, taught, norms):
    peaks, centres, counted, empty, boxes, weights = maps
    heat, size, offset, *wanted = taught
    heat, wanted_boxes = heat[:, 0], torch.cat([size, offset], 1)
    logit, p = output[:, 0], torch.sigmoid(output[:, 0].detach())
    target = torch.maximum(torch.where(empty > 0, DOUBT * heat, heat), PEAK * peaks * counted).clamp(1e-5, 1 - 1e-5)
    # Large faces and labelled centres count more, and so does heat where nobody is.
    weight = 1 + 2 * centres + (empty > 0) * (p > 0.04) * 2.0 + (heat > 0.05) * ((size.mean(1).exp() * 4 / 32).clamp(1, 4).sqrt() - 1)
    surplus = F.binary_cross_entropy_with_logits(logit, target, reduction="none") - F.binary_cross_entropy(target, target, reduction="none")
    result = {"heat": (surplus * weight).sum() / norms("heat", target.sum())}
    known = weights > 0
    mine, theirs, w = output[:, 1:].permute(0, 2, 3, 1)[known], boxes.permute(0, 2, 3, 1)[known], weights[known]
    difference = F.smooth_l1_loss(mine, theirs, reduction="none", beta=0.1)
    result["label"] = ((overlap_loss(mine, theirs) + 0.5 * difference[:, :2].sum(1) + 0.1 * difference[:, 2:].sum(1)) * w).sum() / norms("label", w.sum())
    unknown = (heat * (heat > 0.05) * ~known)[:, None]
    result["boxes"] = 0.5 * (F.smooth_l1_loss(output[:, 1:], wanted_boxes, reduction="none", beta=0.1) * unknown).sum() / norms("boxes", heat[heat > 0.05].sum())
    result["features"] = 0.4 * sum(F.mse_loss(f, t) / (t.var() + 1e-6) for f, t in zip(features, wanted, strict=True))
    return result


def save(path, network, average, start, state):
    mean = dict(zip((n for n, p in network.named_parameters() if p.requires_grad), average))
    weights = {k: v.detach().half().contiguous() for k, v in network.state_dict().items()}
    content = {"widths": network.widths, "weights": weights, "average": {k: v.half().contiguous() for k, v in mean.items()}, **state}
    if network.widths != ORIGINAL:
        content["start"] = {k: v.half().contiguous() for k, v in start.items()}
    partial = Path(path).with_suffix(".part")
    torch.save(content, partial)
    partial.replace(path)


def started(saved, a):
    """The weights before training: those of the original unless channels were cut, which a checkpoint needs not keep."""
    if a.start or a.uncut:
        return saved["weights"]
    return saved["start"] if "start" in saved else original(a.original).state_dict()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--start", help="what prune.py wrote; without it the checkpoint is gone on from")
    p.add_argument("--uncut", action="store_true", help="begin with the original itself")
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--minutes", type=float, default=90)
    p.add_argument("--rate", type=float, default=1.2e-3)
    p.add_argument("--batch", type=int, default=4, help="crops a thread and step")
    p.add_argument("--threads", type=int, default=2, help="each a batch at a time; PyTorch's own threads would wait for each other where others run")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--pids", help="a file for the processes' numbers")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    if a.uncut:
        saved = {"widths": ORIGINAL, "weights": original(a.original).state_dict()}
    else:
        saved = torch.load(a.start or a.checkpoint, weights_only=True)
    start = {k: v.float() for k, v in started(saved, a).items()}
    state = {k: saved.get(k, 0.0) for k in ("crops", "minutes")} | {"curve": saved.get("curve", [])}
    network = Network(saved["widths"])
    network.load_state_dict({k: v.float() for k, v in saved["weights"].items()})
    for part in (network.stem, *network.blocks[:FRONT]):
        part.requires_grad_(False)
    queue = multiprocessing.get_context("spawn").Queue(6)
    loader = multiprocessing.get_context("spawn").Process(target=load, args=(queue, a, export_front(network), a.seed * 1000 + int(state["crops"])), daemon=True)
    loader.start()
    if a.pids:
        Path(a.pids).write_text(f"{os.getpid()} {loader.pid}\n")
    network = network.to(memory_format=torch.channels_last).train()
    named = [(n, q) for n, q in network.named_parameters() if q.requires_grad]
    parameters = [q for _, q in named]
    average = [saved.get("average", {}).get(n, q.detach()).float().clone() for n, q in named]
    train(network, parameters, average, start, state, queue, a)


def gradients(network, parameters, queue, norms):
    """One batch of the queue: (gradients, parts of the loss, seconds waited for it)."""
    waited = time.time()
    maps, taught, begun = queue.get()
    waited = time.time() - waited
    begun = [b.contiguous(memory_format=torch.channels_last) for b in begun]
    # A quarter faster where the processor has it.
    with torch.autocast("cpu", torch.bfloat16):
        output, features = network.rest(begun[0], begun[-1])
    output, features = output.float(), [f.float() for f in features]
    parts = losses(output, features, maps, taught, norms)
    found = torch.autograd.grad(sum(parts.values()), parameters)
    return found, {k: float(v.detach()) for k, v in parts.items()}, waited


def train(network, parameters, average, start, state, queue, a):
    optimiser, norms, began, before = RelativeAdam(parameters), [Norms() for _ in range(a.threads)], time.time(), dict(state)
    log, steps, shown, kept, workers = {}, 0, began, began, ThreadPoolExecutor(a.threads)
    while (minutes := (time.time() - began) / 60) < a.minutes:
        rate = a.rate * min(1, (steps + 1) / 60) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * minutes / a.minutes)))
        results = list(workers.map(lambda n: gradients(network, parameters, queue, n), norms))
        mean = [sum(g) / a.threads for g in zip(*(r[0] for r in results))]
        if not all(torch.isfinite(g).all() for g in mean):
            print("a gradient is not finite: step left out", flush=True)
            continue
        optimiser.step(mean, rate)
        steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(average, [q.detach() for q in parameters], 1 - (AVERAGE if before["crops"] else min(AVERAGE, steps / (steps + 20))))
        state |= {"crops": before["crops"] + steps * a.batch * a.threads, "minutes": before["minutes"] + minutes}
        for _, parts, waited in results:
            for name, value in [*parts.items(), ("waited", waited), ("n", 1)]:
                log[name] = log.get(name, 0) + value
        if time.time() - shown > 60:
            n = log.pop("n")
            row = {"minutes": round(state["minutes"], 2), "crops": state["crops"], "rate": round(rate, 6), **{k: round(v / n, 4) for k, v in log.items()}}
            state["curve"].append(row)
            print(row, flush=True)
            log, shown = {}, time.time()
        if time.time() - kept > 300:
            save(a.checkpoint, network, average, start, state)
            kept = time.time()
    save(a.checkpoint, network, average, start, state)


if __name__ == "__main__":
    main()
