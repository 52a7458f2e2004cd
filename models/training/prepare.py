#!/usr/bin/env python3
"""Photos and boxes -> one file of pixels that crops are read from, and an index.

  python3 models/training/prepare.py --data FOLDER --original models/centerface.onnx --out CACHE

FOLDER holds boxes.json, {relative path: [[x1, y1, x2, y2], ...]}; the first part of a path names the set. CACHE gets `pixels.u8` (RGB, one photo after
another; about 9 GB for 4,149 photos of up to 1024 pixels) and `index.json`, a row a photo:
  name, set, offset, width, height, boxes, added, ignored, held
`held`: kept away from training, for choosing and for thresholds: a fifth of wider_val1300, a tenth of the others, by a checksum of the name.
`added`, `ignored`: where the teacher sees a face that a set's labels lack. WIDER FACE's labels are complete; in the other sets what the teacher is sure
of (>= 0.6) counts as a face, what it suspects (>= 0.15) counts neither way.
"""
import argparse
import json
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image

from boxes import decode, iou, suppress
from quantise import INPUT, fold

COMPLETE = ("wider_train1000", "wider_val1300")
SURE, SUSPECTED, SAME = 0.6, 0.15, 0.35


def held(name):
    return zlib.crc32(name.encode()) % 10 < (2 if name.startswith("wider_val1300") else 1)


def size(path):
    with Image.open(path) as picture:
        return picture.size


def decode_one(job):
    path, pixels, offset, (width, height) = job
    rgb = np.asarray(Image.open(path).convert("RGB"))
    assert rgb.shape == (height, width, 3), path
    out = np.memmap(pixels, np.uint8, "r+", offset=offset, shape=rgb.shape)
    out[:] = rgb
    out.flush()


class Teacher:
    def __init__(self, original):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(fold(onnx.load(original)).SerializeToString(), options)

    def faces(self, rgb):
        """[n, 5]: x1, y1, x2, y2, score, after suppression."""
        return suppress(decode(self.session, INPUT, rgb, SUSPECTED), 0.4)


def suspect(job):
    """The teacher's faces that the labels lack: (sure, suspected)."""
    original, pixels, row = job
    global TEACHER
    if "TEACHER" not in globals():
        TEACHER = Teacher(original)
    rgb = np.memmap(pixels, np.uint8, "r", offset=row["offset"], shape=(row["height"], row["width"], 3))
    faces = TEACHER.faces(np.asarray(rgb))
    if len(faces) and row["boxes"]:
        faces = faces[iou(faces[:, :4], row["boxes"]).max(1) < SAME]
    sure = faces[:, 4] >= SURE if len(faces) else np.zeros(0, bool)
    return faces[sure, :4].round(1).tolist(), faces[~sure, :4].round(1).tolist()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, type=Path)
    p.add_argument("--original", default="models/centerface.onnx")
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--jobs", type=int, default=2)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    pixels, boxes, rows, offset = a.out / "pixels.u8", json.loads((a.data / "boxes.json").read_text()), [], 0
    for name in sorted(boxes):
        width, height = size(a.data / name)
        good = [[float(v) for v in b] for b in boxes[name] if b[2] - b[0] >= 2 and b[3] - b[1] >= 2]
        rows.append({"name": name, "set": name.split("/")[0], "offset": offset, "width": width, "height": height,
                     "boxes": good, "added": [], "ignored": [], "held": held(name)})
        offset += width * height * 3
    np.memmap(pixels, np.uint8, "w+", shape=(offset,)).flush()
    with ProcessPoolExecutor(a.jobs) as pool:
        jobs = [(a.data / r["name"], pixels, r["offset"], (r["width"], r["height"])) for r in rows]
        list(pool.map(decode_one, jobs, chunksize=16))
        (a.out / "index.json").write_text(json.dumps(rows))
        partial = [r for r in rows if r["set"] not in COMPLETE]
        found = pool.map(suspect, [(a.original, pixels, r) for r in partial], chunksize=16)
        for row, (row["added"], row["ignored"]) in zip(partial, found):
            pass
    (a.out / "index.json").write_text(json.dumps(rows))
    print(f"{len(rows)} photos, {sum(r['held'] for r in rows)} held back, {offset / 1e9:.1f} GB, "
          f"{sum(len(r['added']) for r in rows)} faces added, {sum(len(r['ignored']) for r in rows)} ignored")


if __name__ == "__main__":
    main()
