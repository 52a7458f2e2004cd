#!/usr/bin/env python3
"""Labelled photos turned, with nothing in the file that says so, and their boxes: for coverage.py.

Usage: turned.py --photos FOLDER --degrees 90|180|270 --out FOLDER    (counterclockwise; PNG, boxes.json beside them)
"""
import argparse
import json
from pathlib import Path

from PIL import Image

HOW = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def turned(box, degrees, width, height):
    x1, y1, x2, y2 = box
    return {
        90: [y1, width - x2, y2, width - x1],
        180: [width - x2, height - y2, width - x1, height - y1],
        270: [height - y2, x1, height - y1, x2],
    }[degrees]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True, type=Path)
    p.add_argument("--degrees", required=True, type=int, choices=sorted(HOW))
    p.add_argument("--out", required=True, type=Path)
    a = p.parse_args()
    boxes = {}
    for listed in ("boxes.json", "people.json"):
        source = a.photos / listed
        if not source.exists():
            continue
        for name, found in json.loads(source.read_text()).items():
            with Image.open(a.photos / name) as photo:
                width, height = photo.size
                target = Path(name).with_suffix(".png")
                if listed == "boxes.json":
                    (a.out / target).parent.mkdir(parents=True, exist_ok=True)
                    photo.convert("RGB").transpose(HOW[a.degrees]).save(a.out / target, compress_level=1)
            boxes.setdefault(listed, {})[str(target)] = [turned(b, a.degrees, width, height) for b in found]
    for listed, found in boxes.items():
        (a.out / listed).write_text(json.dumps(found))
    print(f"{len(boxes.get('boxes.json', {}))} photos in {a.out}")


if __name__ == "__main__":
    main()
