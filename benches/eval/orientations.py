#!/usr/bin/env python3
"""Are the same faces found however a photo is stored?

  orientations.py --photos FOLDER [--unface PROGRAM] [--every N]

Each photo is stored in all eight EXIF orientations without loss (PNG with an eXIf chunk, the pixels turned the other way
round), `unface detect` runs on all, and the boxes of orientations 2 to 8 are paired with those of 1. Prints the share of boxes that have a
partner of IoU >= 0.9.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from common import iou

# What undoes each orientation, as EXIF defines them; the stored picture is the inverse.
T = Image.Transpose
STORE = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("--unface", default="target/release/unface")
    p.add_argument("--every", type=int, default=10, help="takes every Nth photo")
    a = p.parse_args()
    photos = sorted(Path(a.photos).rglob("*.jpg"))[:: a.every]
    with tempfile.TemporaryDirectory() as folder:
        for index, photo in enumerate(photos):
            picture = Image.open(photo).convert("RGB")
            for orientation, how in STORE.items():
                stored = picture if how is None else picture.transpose(how)
                exif = Image.Exif()
                exif[0x0112] = orientation
                stored.save(Path(folder) / f"{index:04}-{orientation}.png", exif=exif, compress_level=1)
        lines = subprocess.run([a.unface, "detect", "--quiet", folder], capture_output=True, text=True, check=True).stdout.splitlines()
        boxes = {}
        for line in map(json.loads, lines):
            index, orientation = Path(line["path"]).stem.split("-")
            boxes.setdefault(index, {})[int(orientation)] = [[f[k] for k in ("x1", "y1", "x2", "y2")] for f in line["faces"]]
        paired = total = 0
        for found in boxes.values():
            for orientation in range(2, 9):
                both = iou(found[1], found[orientation])
                total += both.shape[0] + both.shape[1]
                if both.size:
                    paired += int((both.max(axis=1) >= 0.9).sum() + (both.max(axis=0) >= 0.9).sum())
        print(f"photos {len(boxes)} boxes {total} with a partner of IoU >= 0.9: {100 * paired / max(1, total):.2f} %")


if __name__ == "__main__":
    main()
