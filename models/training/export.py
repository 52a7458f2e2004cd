#!/usr/bin/env python3
"""Checkpoint -> ONNX, float or in 8 bits.

  python3 models/training/export.py --checkpoint models/training/checkpoint.pt --out float.onnx
  python3 models/training/export.py ... --pictures FOLDER --out models/small-int8.onnx      # 8 bits, as quantise.py
"""
import argparse
import random
from pathlib import Path

import onnx

from pictures import photos
from plain import CELLS, export, load
from prepare import held
from quantise import pack, quantise


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--pictures", type=Path, help="photos for the ranges of 8 bits; float without")
    p.add_argument("--out", required=True)
    a = p.parse_args()
    model = export(load(a.checkpoint))
    if not a.pictures:
        onnx.save(model, a.out)
        return
    pictures = [f for f in photos(a.pictures) if not held(f.relative_to(a.pictures).as_posix())]
    random.Random(1).shuffle(pictures)
    quantise(model, pictures, a.out, {CELLS})
    pack(a.out)


if __name__ == "__main__":
    main()
