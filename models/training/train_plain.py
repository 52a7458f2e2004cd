#!/usr/bin/env python3
"""Trains the networks of plain.py on a GPU, from nothing (`Plain`) or under CenterFace's deeper blocks (`Hybrid`): labels and what the original sees.

  python3 models/training/train_plain.py --cache CACHE --original original.pt --students plain,hybrid --minutes 9 --out FOLDER

original.pt: the state of network.original(), as torch.save writes it. Students see the same batches. Processes make the crops; where the GPU is faster than they are, a batch is seen
once more, mirrored. Written: NAME.pt, the running mean of each student's weights.
"""
import argparse
import json
import math
import queue
import threading
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from network import ORIGINAL, Network
from plain import FIRST, PLAIN, Hybrid, Plain
from sampling import Photos, Sampler
from train import DOUBT, PEAK, RelativeAdam, overlap_loss

AVERAGE = 0.998
# Share of the time in which a hybrid's front learns alone what it stands for.
ALONE = 0.2


class Crops(torch.utils.data.IterableDataset):
    def __init__(self, cache, seed, batch):
        self.cache, self.seed, self.batch = cache, seed, batch

    def __iter__(self):
        torch.set_num_threads(1)
        sampler = Sampler(Photos(self.cache), self.seed * 1000 + torch.utils.data.get_worker_info().id)
        while True:
            pictures, peaks, centres, counted, empty, boxes, weights = sampler.batch(self.batch)
            maps = np.concatenate([np.stack([peaks, centres, counted, empty, weights], 1), boxes], 1).astype(np.float16)
            yield torch.from_numpy(pictures), torch.from_numpy(maps)


def features_of(teacher, x):
    """The original's (output, features at strides 4, 8 (begun), 8, 16, 32, of its neck)."""
    y, side = teacher.stem(x), {}
    for k, block in enumerate(teacher.blocks):
        y = side[k] = block(y)
    output, fused = teacher.neck(y, side)
    return output.float(), [side[1], side[2], side[4], side[11], y, fused]


class Norms:
    """Running means that the losses are divided by, so that a crop without faces does not count for more than one with many."""

    def __init__(self):
        self.means = {}

    def __call__(self, name, value):
        value = value.detach().clamp(min=1)
        self.means[name] = torch.lerp(self.means.get(name, value), value, 0.05)
        return self.means[name]


def losses(output, features, maps, taught, wanted, norms, share):
    peaks, centres, counted, empty, weights = maps[:, :5].unbind(1)
    boxes, heat, size = maps[:, 5:], torch.sigmoid(taught[:, 0]), taught[:, 1:3]
    logit, p = output[:, 0], torch.sigmoid(output[:, 0].detach())
    target = torch.maximum(torch.where(empty > 0, DOUBT * heat, heat), PEAK * peaks * counted).clamp(1e-5, 1 - 1e-5)
    weight = 1 + 2 * centres + (empty > 0) * (p > 0.04) * 2.0 + (heat > 0.05) * ((size.mean(1).exp() * 4 / 32).clamp(1, 4).sqrt() - 1)
    surplus = F.binary_cross_entropy_with_logits(logit, target, reduction="none") + (target * target.log() + (1 - target) * (1 - target).log())
    result = {"heat": (surplus * weight).sum() / norms("heat", target.sum())}
    difference = F.smooth_l1_loss(output[:, 1:], boxes, reduction="none", beta=0.1)
    each = overlap_loss(output[:, 1:], boxes) + 0.5 * difference[:, :2].sum(1) + 0.1 * difference[:, 2:].sum(1)
    result["label"] = (each * weights).sum() / norms("label", weights.sum())
    unknown = heat * (heat > 0.05) * (weights == 0)
    boxes_loss = (F.smooth_l1_loss(output[:, 1:], taught[:, 1:], reduction="none", beta=0.1).sum(1) * unknown).sum()
    result["boxes"] = 0.5 * boxes_loss / norms("boxes", (heat * (heat > 0.05)).sum())
    result["features"] = share * compared(features, wanted)
    return result


def compared(features, wanted):
    return sum(F.mse_loss(f.float(), t.float()) / (t.float().var() + 1e-6) for f, t in zip(features, wanted, strict=True))


class Muon:
    """Steps orthogonalised (Jordan et al. 2024), for convolutions before batch norms: weights are kept at a norm of the root of their outputs, a step is `rate` of it."""

    def __init__(self, parameters):
        self.parameters, self.moments = parameters, [torch.zeros_like(p) for p in parameters]
        self.normalise()

    @torch.no_grad()
    def normalise(self):
        norms = torch._foreach_norm(self.parameters)
        torch._foreach_mul_(self.parameters, [math.sqrt(p.shape[0]) / (n + 1e-9) for p, n in zip(self.parameters, norms)])

    @torch.no_grad()
    def step(self, gradients, rate):
        torch._foreach_lerp_(self.moments, gradients, 0.1)
        looked = torch._foreach_lerp(gradients, self.moments, 0.9)
        for p, g in zip(self.parameters, looked):
            x = g.reshape(len(g), -1).bfloat16()
            turned = x.shape[0] > x.shape[1]
            x = x.T if turned else x
            x = x / (x.norm() + 1e-9)
            for _ in range(5):
                a = x @ x.T
                b = torch.addmm(a, a, a, beta=-4.775, alpha=2.0315)
                x = torch.addmm(x, b, x, beta=3.4445)
            x = x.T if turned else x
            p.add_(x.reshape(p.shape).to(p.dtype) * (math.sqrt(len(g)) / math.sqrt(min(x.shape))), alpha=-rate)
        self.normalise()


class Student:
    def __init__(self, name, network, old=()):
        """`old`: modules that go on from the original's weights."""
        self.name, self.network, self.norms = name, network, Norms()
        went = {id(p) for m in old for p in m.parameters()}
        named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
        matrices = [p for n, p in named if id(p) not in went and p.dim() == 4 and p.shape[1] > 3 and not n.startswith(("out", "compare", "side"))]
        rest = [p for n, p in named if id(p) not in went and all(p is not m for m in matrices)]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(rest, lr=2e-3, weight_decay=0, fused=torch.cuda.is_available())
        self.old = [p for p in network.parameters() if id(p) in went]
        self.relative = RelativeAdam(self.old) if self.old else None
        self.live = [v for v in network.state_dict().values() if v.is_floating_point()]
        self.mean = [v.detach().clone() for v in self.live]
        self.steps, self.log = 0, {}

    def update(self, loss, rate, old_rate):
        parameters = [*self.muon.parameters, *self.adam.param_groups[0]["params"], *(self.old if old_rate else [])]
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        found = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found)]
        n, m = len(self.muon.parameters), len(self.adam.param_groups[0]["params"])
        self.muon.step(found[:n], 0.02 * rate)
        for p, g in zip(self.adam.param_groups[0]["params"], found[n: n + m]):
            p.grad = g
        self.adam.param_groups[0]["lr"] = 2e-3 * rate
        self.adam.step()
        if old_rate:
            self.relative.step(found[n + m:], 1e-3 * old_rate)
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, self.live, 1 - min(AVERAGE, self.steps / (self.steps + 20)))

    def save(self, folder):
        names = [k for k, v in self.network.state_dict().items() if v.is_floating_point() and not k.startswith("compare")]
        values = [v for k, v in zip((k for k, v in self.network.state_dict().items() if v.is_floating_point()), self.mean) if not k.startswith("compare")]
        partial = Path(folder) / f"{self.name}.part"
        torch.save({k: v.half().cpu().contiguous() for k, v in zip(names, values)}, partial)
        partial.replace(Path(folder) / f"{self.name}.pt")


class Batches:
    """Batches as they come; with none at hand one of the last, mirrored, each at most `again` times."""

    def __init__(self, loader, device, again):
        self.ready, self.device, self.again, self.kept, self.waited, self.fresh, self.old = queue.Queue(6), device, again, [], 0.0, 0, 0
        threading.Thread(target=self.fill, args=(loader,), daemon=True).start()

    def fill(self, loader):
        for batch in loader:
            self.ready.put(batch)

    def next(self):
        began = time.time()
        try:
            pictures, maps = self.ready.get(block=not self.kept)
        except queue.Empty:
            self.old += 1
            pictures, maps, left = self.kept.pop(0)
            pictures, maps = pictures.flip(2), maps.flip(3).clone()
            maps[:, 8] *= -1
            if left > 1:
                self.kept.append((pictures, maps, left - 1))
            return pictures, maps
        self.waited += time.time() - began
        self.fresh += 1
        pictures, maps = (t.to(self.device, non_blocking=True) for t in (pictures, maps))
        if self.again:
            self.kept = [*self.kept, (pictures, maps, self.again)][-40:]
        return pictures, maps


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    p.add_argument("--original", required=True)
    p.add_argument("--students", default="plain,hybrid")
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--workers", type=int, default=15)
    p.add_argument("--again", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--start", type=Path, help="a folder of --out: goes on from there")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    began = time.time()
    torch.manual_seed(a.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    loader = torch.utils.data.DataLoader(Crops(a.cache, a.seed, a.batch), None, num_workers=a.workers, prefetch_factor=2, pin_memory=device == "cuda")
    batches = Batches(loader, device, a.again)
    weights = {k: v.float() for k, v in torch.load(a.original, weights_only=True).items()}
    teacher = Network()
    teacher.load_state_dict(weights)
    teacher = teacher.to(device, torch.half if device == "cuda" else torch.float, memory_format=torch.channels_last).eval().requires_grad_(False)
    students = []
    for name in a.students.split(","):
        if name == "plain":
            network, old = Plain(**PLAIN, taught=True), []
        else:
            network = Hybrid(tuple(ORIGINAL))
            network.deep.load_state_dict({k: v for k, v in weights.items() if not k.startswith(tuple(f"blocks.{n}." for n in range(FIRST)))}, strict=False)
            old = [network.deep]
        if a.start:
            network.load_state_dict({k: v.float() for k, v in torch.load(a.start / f"{name}.pt", weights_only=True).items()}, strict=False)
        students.append(Student(name, network.to(device, memory_format=torch.channels_last).train(), old))
    shown, shown_steps, seen, steps = time.time(), 0, 0, 0
    while (part := (time.time() - began) / 60 / a.minutes) < 1:
        rate = min(1, (steps + 1) / 200) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * part)))
        pictures, maps = batches.next()
        x, maps = pictures.permute(0, 3, 1, 2), maps.float()
        with torch.no_grad():
            taught, wanted = features_of(teacher, x.to(teacher.head.weight.dtype))
        for s in students:
            alone = s.old and part < ALONE
            with torch.autocast(device, torch.bfloat16):
                output, features = (None, s.network.begin(x.float())) if alone else s.network.both(x.float())
            if alone:
                parts = {"front": compared(features, wanted[:2])}
            else:
                targets = wanted if s.old else [wanted[0], *wanted[2:]]
                parts = losses(output.float(), features, maps, taught, targets, s.norms, 0.05 + 0.35 * (1 - part))
            old_rate = 0 if alone or not s.old else min(1, (part - ALONE) / 0.05) * rate
            s.update(sum(parts.values()), rate, old_rate)
            for k, v in parts.items():
                s.log[k] = s.log.get(k, 0) + v.detach()
        steps += 1
        seen += len(pictures)
        if time.time() - shown > 10:
            row = {"seconds": round(time.time() - began), "steps": steps, "crops": seen, "fresh": batches.fresh, "again": batches.old, "waited": round(batches.waited, 1), "rate": round(rate, 3)}
            for s in students:
                row |= {f"{s.name}.{k}": round(float(v) / (steps - shown_steps), 4) for k, v in s.log.items()}
            print(json.dumps(row), flush=True)
            shown, shown_steps = time.time(), steps
            for s in students:
                s.save(a.out)
                s.log = {}
    for s in students:
        s.save(a.out)
    print(json.dumps({"seconds": round(time.time() - began), "steps": steps, "crops": seen}), flush=True)


if __name__ == "__main__":
    main()
