#!/usr/bin/env python3
"""Measures networks of CenterFace's family: exposed faces against false area, average precision, milliseconds.

  python3 models/training/evaluate.py --cache CACHE MODEL.onnx...            # photos held back from training: for choosing
  python3 models/training/evaluate.py --data FOLDER MODEL.onnx...            # wider_dev: for measuring only
  python3 models/training/evaluate.py --time MODEL.onnx...

A box of height h counts if its score is at least min(cap, t * max(1, h/32)^slope); all that count are enlarged 1.3 times and cover. A face of at
least 16 pixels is exposed if less than 80 % of its box is covered. False area: covered outside every label (and every place that counts neither way)
enlarged 1.6 times, as a share of the photo, of photos with complete labels. Every box is painted with the t up to which it counts, so one pass gives
the whole curve. Average precision: IoU 0.5 after suppression at 0.4, a second box on a face is a false one.
"""
import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from boxes import decode, iou, suppress, tensor

LEAST, ENLARGED, COVERED, SEEN = 16, 1.3, 0.8, 0.015
LEVELS = {"easy": ("easy",), "medium": ("easy", "medium"), "hard": ("easy", "medium", "hard")}
SIZES = [(16, 24), (24, 32), (32, 64), (64, 128), (128, 9999)]


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def held_back(cache, every=1):
    """Photos that training did not see, with labels in WIDER FACE's convention."""
    from sampling import COMPLETE, Photos
    photos = Photos(cache, held=True)
    for row in photos.rows[::every]:
        levels = ["hard" if b[3] - b[1] >= 10 else "ignore" for b in row["faces"]]
        yield row["set"], photos.rgb(row), row["faces"], row["ignored"], levels, row["set"] in COMPLETE


def folder(path, every=1):
    boxes, levels = (json.loads((path / f"{n}.json").read_text()) for n in ("boxes", "levels"))
    people = json.loads((path / "people.json").read_text()) if (path / "people.json").exists() else {}
    for name in sorted(boxes)[::every]:
        rgb = np.asarray(Image.open(path / name).convert("RGB"))
        yield "all", rgb, np.array(boxes[name], np.float32).reshape(-1, 4), np.array(people.get(name, []), np.float32).reshape(-1, 4), levels[name], True


def enlarged(boxes, factor):
    centre, half = (boxes[:, :2] + boxes[:, 2:4]) / 2, (boxes[:, 2:4] - boxes[:, :2]) / 2 * factor
    return np.concatenate([np.floor(centre - half), np.ceil(centre + half)], 1).clip(0).astype(int)


def painted(cells, shape, slope, cap):
    """Each pixel: the highest t at which it is covered; 0 where it never is."""
    height = cells[:, 3] - cells[:, 1]
    value = np.where(cells[:, 4] >= cap, 1.0, cells[:, 4] / np.maximum(1, height / 32) ** slope)
    order, out = np.argsort(value, kind="stable"), np.zeros(shape, np.float32)
    for (x1, y1, x2, y2), v in zip(enlarged(cells, ENLARGED)[order], value[order]):
        out[y1:y2, x1:x2] = v
    return out


class Tally:
    """What all photos of one network come to."""

    def __init__(self):
        self.faces, self.outside, self.pixels, self.photos, self.detections = [], [], [], 0, []

    def add(self, group, picture, faces, ignored, complete):
        for b in faces[faces[:, 3] - faces[:, 1] >= LEAST]:
            x1, y1, x2, y2 = (max(0, round(float(v))) for v in b)
            part = np.sort(picture[y1:y2, x1:x2], axis=None)
            t = part[math.floor((1 - COVERED) * len(part))] if len(part) else 1.0
            self.faces.append((group, float(b[3] - b[1]), float(t)))
        if complete:
            free = np.ones(picture.shape, bool)
            for x1, y1, x2, y2 in enlarged(np.concatenate([faces, ignored]), 1.6):
                free[y1:y2, x1:x2] = False
            self.outside.append(np.sort(picture[free & (picture > 0)])[::-1])
            self.pixels.append(picture.size)

    def false_area(self, t):
        return 100 * float(np.mean([np.searchsorted(-o, -t, "right") / n for o, n in zip(self.outside, self.pixels)]))

    def exposed(self, t, low=0, high=1e9, group=None):
        chosen = [v for g, h, v in self.faces if low <= h < high and group in (None, g)]
        return sum(v < t for v in chosen), len(chosen)

    def at_false_area(self, area):
        """The t that gives this false area, in percent."""
        low, high = SEEN, 1.0
        for _ in range(40):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.false_area(middle) > area else (low, middle)
        return high


def precision(detections, level):
    """detections: (faces [n, 5], labels, levels) of each photo."""
    scored, wanted = [], 0
    for found, labels, levels in detections:
        counted = np.array([name in LEVELS[level] for name in levels], bool)
        wanted += counted.sum()
        overlap, used = iou(found[:, :4], labels), set()
        for i, face in enumerate(found):
            j = int(overlap[i].argmax()) if len(labels) else -1
            if j >= 0 and overlap[i, j] >= 0.5:
                if counted[j]:
                    scored.append((face[4], j not in used))
                    used.add(j)
            else:
                scored.append((face[4], False))
    if not scored or not wanted:
        return 0.0
    hits = np.array([h for _, h in sorted(scored, key=lambda s: -s[0])])
    recall, right = np.cumsum(hits) / wanted, np.cumsum(hits) / np.arange(1, len(hits) + 1)
    right = np.maximum.accumulate(right[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], recall])) * right))


def tally(network, photos, slope, cap, with_precision):
    result, name = Tally(), network.get_inputs()[0].name
    for group, rgb, faces, ignored, levels, complete in photos:
        cells = decode(network, name, rgb, SEEN)
        tall = cells[cells[:, 3] - cells[:, 1] >= 10]
        result.add(group, painted(tall, rgb.shape[:2], slope, cap), faces, ignored, complete)
        if with_precision and complete:
            result.detections.append((suppress(cells, 0.4), faces, levels))
    return result


def report(name, result, thresholds, areas):
    print(f"== {name}: {len(result.faces)} faces >= {LEAST} px")
    if result.detections:
        kinds = sorted({v for _, _, levels in result.detections for v in levels})
        print("   AP " + "  ".join(f"{v} {precision(result.detections, v):.3f}" for v in LEVELS if v in kinds or "easy" in kinds))
    rows = [(f"t = {t:.3f}", t) for t in thresholds] + [(f"false area {a} %", result.at_false_area(a)) for a in areas]
    for label, t in rows:
        missed, count = result.exposed(t)
        sizes = "  ".join("{}: {}/{}".format(f"{lo}-{hi}" if hi < 9999 else f">={lo}", *result.exposed(t, lo, hi)) for lo, hi in SIZES)
        groups = sorted({g for g, _, _ in result.faces})
        sets = "  ".join("{} {}/{}".format(g, *result.exposed(t, group=g)) for g in groups) if len(groups) > 1 else ""
        print(f"   {label:18s} t {t:.4f}  exposed {100 * missed / count:5.2f} %  false area {result.false_area(t):5.2f} %   {sizes}   {sets}", flush=True)


def curve(result, steps=60):
    """[t, exposed faces in percent, false area in percent, exposed of 128 pixels and more] over the thresholds."""
    grid = np.geomspace(SEEN, 0.5, steps)
    return [[round(float(v), 4) for v in (t, 100 * np.divide(*result.exposed(t)), result.false_area(t), result.exposed(t, 128)[0])] for t in grid]


def clock(paths, rounds=9, shape=(576, 768)):
    rgb, sessions = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8), {p: session(p) for p in paths}
    spent = {p: [] for p in paths}
    for _ in range(rounds):
        for p, s in sessions.items():
            began = time.process_time()
            s.run(None, {s.get_inputs()[0].name: tensor(s, rgb)})
            spent[p].append((time.process_time() - began) * 1e9 / shape[0] / shape[1])
    for p, t in spent.items():
        print(f"{p}: median {np.median(t):.0f}, least {min(t):.0f} ms a megapixel, one thread")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+")
    p.add_argument("--cache")
    p.add_argument("--data", type=Path)
    p.add_argument("--time", action="store_true")
    p.add_argument("--slope", type=float, default=0.6)
    p.add_argument("--cap", type=float, default=0.25)
    p.add_argument("--thresholds", type=float, nargs="*", default=[0.03, 0.05, 0.1])
    p.add_argument("--areas", type=float, nargs="*", default=[0.8, 2.0, 4.3])
    p.add_argument("--every", type=int, default=1, help="only every n-th photo")
    p.add_argument("--curves", type=Path, help="a folder for the whole curve of each model")
    p.add_argument("--no-precision", action="store_true")
    a = p.parse_args()
    if a.time:
        clock(a.models)
    if not a.cache and not a.data:
        return 0 if a.time else p.error("one of --cache, --data, --time")
    for model in a.models:
        photos = held_back(a.cache, a.every) if a.cache else folder(a.data, a.every)
        result = tally(session(model), photos, a.slope, a.cap, not a.no_precision)
        report(model, result, a.thresholds, a.areas)
        if a.curves:
            a.curves.mkdir(exist_ok=True)
            (a.curves / f"{Path(model).stem}.json").write_text(json.dumps(curve(result)))


if __name__ == "__main__":
    sys.exit(main())
