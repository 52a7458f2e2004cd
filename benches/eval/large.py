#!/usr/bin/env python3
"""Parts of labelled photos enlarged so that one face fills each, and their boxes: for coverage.py.

Usage: large.py --photos FOLDER --out FOLDER [--face 1000] [--size 1400x1100]

Of each photo the largest face, if it is 110 pixels high at least; JPEG, boxes.json beside them. Other faces are not listed.
"""
import argparse
import json
from pathlib import Path

from PIL import Image

LEAST = 110


def enlarged(photo, box, face, size):
    """A part of the photo round the box, the box's height being `face`; and the box in it."""
    x1, y1, x2, y2 = box
    scale = face / (y2 - y1)
    w, h = (min(side / scale, full) for side, full in zip(size, photo.size))
    left = int(min(max((x1 + x2 - w) / 2, 0), photo.width - w))
    top = int(min(max((y1 + y2 - h) / 2, 0), photo.height - h))
    part = photo.crop((left, top, left + int(w), top + int(h)))
    part = part.resize((round(part.width * scale), round(part.height * scale)), Image.BICUBIC)
    moved = [(x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale]
    limits = [part.width, part.height] * 2
    return part, [max(0, min(v, most)) for v, most in zip(moved, limits)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True, type=Path)
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--face", type=float, default=1000, help="height in pixels")
    p.add_argument("--size", default="1400x1100", help="largest picture")
    a = p.parse_args()
    size = [int(side) for side in a.size.split("x")]
    a.out.mkdir(parents=True)
    boxes = {}
    for name, faces in sorted(json.loads((a.photos / "boxes.json").read_text()).items()):
        box = max(faces, key=lambda b: b[3] - b[1], default=None)
        if box is None or box[3] - box[1] < LEAST:
            continue
        with Image.open(a.photos / name) as photo:
            part, moved = enlarged(photo.convert("RGB"), box, a.face, size)
        target = a.out / f"{len(boxes):04}.jpg"
        part.save(target, quality=92)
        boxes[target.name] = [moved]
    (a.out / "boxes.json").write_text(json.dumps(boxes))
    print(f"{len(boxes)} faces in {a.out}")


if __name__ == "__main__":
    main()
