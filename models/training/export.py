#!/usr/bin/env python3
"""Checkpoint -> ONNX, float or in 8 bits.

  python3 models/training/export.py --checkpoint models/training/checkpoint.pt --share 0.7 --out float.onnx
  python3 models/training/export.py ... --pictures FOLDER --out models/NAME.onnx      # 8 bits, as quantise.py

--share: how much of the trained weights' running mean; the rest are the weights before training (Wortsman et al. 2022, arXiv:2109.01903).
"""
import argparse
import random
from pathlib import Path

import onnx
import torch

from network import Network, export, original
from prepare import held
from quantise import equalise, pack, quantise

# The last block stays in float: what it adds up in 8 bits loses every large face.
FLOAT = {f"b15.{part}" for part in ("expand", "depthwise", "project")}


def load(path, share=1.0, uncut=None):
    """The network of a checkpoint, or of what prune.py wrote. `uncut`: the original, where a checkpoint begins with it."""
    saved = torch.load(path, weights_only=True)
    start = saved.get("start") or (original(uncut).state_dict() if share < 1 else {})
    network = Network(saved["widths"])
    weights = {k: v.float() for k, v in saved["weights"].items()}
    for name, mean in saved.get("average", {}).items():
        weights[name] = share * mean.float() + ((1 - share) * start[name].float() if share < 1 else 0)
    network.load_state_dict(weights)
    return network.eval()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--share", type=float, default=1.0)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--pictures", type=Path, help="photos for the ranges of 8 bits; float without")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    model = export(load(a.checkpoint, a.share, a.original))
    if not a.pictures:
        onnx.save(model, a.out)
        return
    pictures = sorted(f for f in a.pictures.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png", ".avif", ".webp"))
    pictures = [f for f in pictures if not held(f.relative_to(a.pictures).as_posix())]
    random.Random(1).shuffle(pictures)
    equalise(model, pictures)
    quantise(model, pictures, a.out, FLOAT)
    pack(a.out)


if __name__ == "__main__":
    main()
