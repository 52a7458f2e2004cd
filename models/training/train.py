#!/usr/bin/env python3
"""Trains the network of plain.py, from nothing or on from a checkpoint: by labels and by what the original sees. Meant for a GPU; works without, slowly.

  python3 models/training/train.py --cache CACHE --original models/centerface.onnx --minutes 9.5 --checkpoint models/training/checkpoint.pt
  ... --start models/training/checkpoint.pt --peak 0.36                # goes on, with smaller steps

Processes make the crops; where the GPU is faster than they are, a batch is seen once more, mirrored. Written: the running mean of the weights.
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

from network import original
from plain import PLAIN, Plain, load
from sampling import Photos, Sampler

AVERAGE = 0.998
# The teacher's heat where the labels say that there is nobody counts this much.
DOUBT = 0.3
# Heat that a labelled face's centre should have at least.
PEAK = 0.75


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


class Norms:
    """Running means that the losses are divided by, so that a crop without faces does not count for more than one with many."""

    def __init__(self):
        self.means = {}

    def __call__(self, name, value):
        value = value.detach().clamp(min=1)
        self.means[name] = torch.lerp(self.means.get(name, value), value, 0.05)
        return self.means[name]


def overlap_loss(a, b):
    """1 - IoU + squared distance of the centres over the hull's diagonal; channels log h, log w, y, x in cells (Zheng et al. 2020, arXiv:1911.08287)."""
    half_a, half_b = a[:, :2].clamp(-3, 6).exp() / 2, b[:, :2].exp() / 2
    low, high = torch.maximum(a[:, 2:] - half_a, b[:, 2:] - half_b), torch.minimum(a[:, 2:] + half_a, b[:, 2:] + half_b)
    hull = torch.maximum(a[:, 2:] + half_a, b[:, 2:] + half_b) - torch.minimum(a[:, 2:] - half_a, b[:, 2:] - half_b)
    both = (high - low).clamp(min=0).prod(1)
    union = 4 * (half_a.prod(1) + half_b.prod(1)) - both
    return 1 - both / (union + 1e-6) + (a[:, 2:] - b[:, 2:]).pow(2).sum(1) / (hull.pow(2).sum(1) + 1e-6)


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
    result["features"] = share * sum(F.mse_loss(f.float(), t.float()) / (t.float().var() + 1e-6) for f, t in zip(features, wanted, strict=True))
    return result


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


class Trainer:
    """The network, its two optimisers and the running mean of its weights."""

    def __init__(self, network):
        self.network, self.norms, self.steps, self.log = network, Norms(), 0, {}
        named = list(network.named_parameters())
        matrices = [p for n, p in named if p.dim() == 4 and p.shape[1] > 3 and not n.startswith(("out", "compare"))]
        chosen = {id(p) for p in matrices}
        self.muon, self.others = Muon(matrices), [p for _, p in named if id(p) not in chosen]
        self.adam = torch.optim.AdamW(self.others, weight_decay=0, fused=torch.cuda.is_available())
        self.live = {k: v for k, v in network.state_dict().items() if v.is_floating_point() and not k.startswith("compare")}
        self.mean = [v.detach().clone() for v in self.live.values()]

    def update(self, loss, rate):
        found = torch.autograd.grad(loss, [*self.muon.parameters, *self.others])
        n = len(self.muon.parameters)
        self.muon.step(found[:n], 0.02 * rate)
        for p, g in zip(self.others, found[n:], strict=True):
            p.grad = g
        self.adam.param_groups[0]["lr"] = 2e-3 * rate
        self.adam.step()
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, list(self.live.values()), 1 - min(AVERAGE, self.steps / (self.steps + 20)))

    def save(self, path):
        partial = Path(path).with_suffix(".part")
        torch.save({k: v.half().cpu().contiguous() for k, v in zip(self.live, self.mean)}, partial)
        partial.replace(path)


class Batches:
    """Batches as they come; with none at hand one of the last, mirrored, each at most `again` times."""

    def __init__(self, loader, device, again):
        self.ready, self.device, self.again, self.kept, self.old = queue.Queue(6), device, again, [], 0
        threading.Thread(target=self.fill, args=(loader,), daemon=True).start()

    def fill(self, loader):
        for batch in loader:
            self.ready.put(batch)

    def next(self):
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
        pictures, maps = (t.to(self.device, non_blocking=True) for t in (pictures, maps))
        if self.again:
            self.kept = [*self.kept, (pictures, maps, self.again)][-40:]
        return pictures, maps


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", required=True)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--checkpoint", required=True, type=Path)
    p.add_argument("--start", type=Path)
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--peak", type=float, default=1.0, help="the largest step, as a share of the usual one")
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--workers", type=int, default=15)
    p.add_argument("--again", type=int, default=1)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    began = shown = time.time()
    torch.manual_seed(a.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    loader = torch.utils.data.DataLoader(Crops(a.cache, a.seed, a.batch), None, num_workers=a.workers, prefetch_factor=2, pin_memory=device == "cuda")
    batches = Batches(loader, device, a.again)
    kind = torch.half if device == "cuda" else torch.float
    teacher = original(a.original).to(device, kind, memory_format=torch.channels_last).requires_grad_(False)
    network = Plain(**PLAIN, taught=True)
    if a.start:
        network.load_state_dict(load(a.start).state_dict(), strict=False)
    trainer, seen, since = Trainer(network.to(device, memory_format=torch.channels_last).train()), 0, 0
    while (part := (time.time() - began) / 60 / a.minutes) < 1:
        rate = min(1, (trainer.steps + 1) / 200) * (0.01 + a.peak * (0.5 + 0.5 * math.cos(math.pi * part)))
        pictures, maps = batches.next()
        x, maps = pictures.permute(0, 3, 1, 2), maps.float()
        with torch.no_grad():
            taught, wanted = teacher.both(x.to(kind))
        with torch.autocast(device, torch.bfloat16):
            output, features = network.both(x.float())
        parts = losses(output.float(), features, maps, taught.float(), wanted, trainer.norms, 0.05 + 0.35 * (1 - part))
        trainer.update(sum(parts.values()), rate)
        seen += len(pictures)
        for k, v in parts.items():
            trainer.log[k] = trainer.log.get(k, 0) + v.detach()
        if time.time() - shown > 10:
            means = {k: round(float(v) / (trainer.steps - since), 4) for k, v in trainer.log.items()}
            print(json.dumps({"seconds": round(time.time() - began), "crops": seen, "again": batches.old, "rate": round(rate, 3), **means}), flush=True)
            trainer.save(a.checkpoint)
            shown, since, trainer.log = time.time(), trainer.steps, {}
    trainer.save(a.checkpoint)
    print(json.dumps({"seconds": round(time.time() - began), "crops": seen}), flush=True)


if __name__ == "__main__":
    main()
