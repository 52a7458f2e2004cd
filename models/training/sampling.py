"""Crops for training: uint8 RGB [S, S, 3] with boxes, and the maps that the loss reads.

Sizes are balanced: the face that a crop is made around gets a size drawn evenly over the octaves from 8 pixels to three quarters of the crop, so that faces
of 128 pixels and more are as frequent as small ones (with the sizes as they come, large faces lose score).
"""
import json
import math
from pathlib import Path

import cv2
import numpy as np

SHARE = {"wider_train1000": 0.27, "wider_val1300": 0.36, "facecount8k": 0.13, "ilc2021": 0.13, "chtseng_mask679": 0.11}
COMPLETE = ("wider_train1000", "wider_val1300")
# What these sets' boxes need to look like WIDER FACE's: shift over width and height, logarithms of width and height (medians against CenterFace's boxes).
CONVENTION = {"facecount8k": (0.043, 0.016, -0.13, 0.08), "chtseng_mask679": (0.009, -0.121, -0.03, 0.08), "ilc2021": (0.011, -0.03, -0.02, -0.02)}
STRIDE = 4
# Faces smaller than this (pixels of the crop) count neither way, and so do those of which less than this share is inside.
LEAST, VISIBLE = 7.0, 0.4


def conventional(boxes, name):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    if name not in CONVENTION or not len(boxes):
        return boxes
    dx, dy, lw, lh = CONVENTION[name]
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2 + size * np.float32([dx, dy])
    half = size * np.exp(np.float32([lw, lh])) / 2
    return np.concatenate([centre - half, centre + half], 1)


class Photos:
    def __init__(self, cache, held=False):
        cache = Path(cache)
        self.pixels = np.memmap(cache / "pixels.u8", np.uint8, "r")
        self.rows = [r for r in json.loads((cache / "index.json").read_text()) if r["held"] == held]
        for r in self.rows:
            r["faces"] = np.concatenate([conventional(r["boxes"], r["set"]), np.array(r["added"], np.float32).reshape(-1, 4)])
            r["ignored"] = np.array(r["ignored"], np.float32).reshape(-1, 4)

    def rgb(self, row):
        n = row["width"] * row["height"] * 3
        return self.pixels[row["offset"]: row["offset"] + n].reshape(row["height"], row["width"], 3)


class Sampler:
    def __init__(self, photos, seed, side=384):
        cv2.setNumThreads(1)
        self.photos, self.random, self.side = photos, np.random.default_rng(seed), side
        self.sets = [s for s in SHARE if any(r["set"] == s for r in photos.rows)]
        self.shares = np.array([SHARE[s] for s in self.sets])
        self.shares /= self.shares.sum()
        self.of = {s: [r for r in photos.rows if r["set"] == s] for s in self.sets}
        # Photos by the root of their number of faces, and those with a large face three times as often.
        self.steps = {}
        for s, rows in self.of.items():
            w = np.array([min(6.0, max(1.0, math.sqrt(len(r["faces"])))) * (3.0 if self.largest(r) > 110 else 1.0) for r in rows])
            self.steps[s] = np.cumsum(w / w.sum())
        self.y, self.x = np.mgrid[: side // STRIDE, : side // STRIDE].astype(np.float32)

    @staticmethod
    def largest(row):
        f = row["faces"]
        return float(np.sqrt((f[:, 2] - f[:, 0]) * (f[:, 3] - f[:, 1])).max()) if len(f) else 0.0

    def photo(self):
        s = self.sets[self.random.choice(len(self.sets), p=self.shares)]
        return self.of[s][min(len(self.of[s]) - 1, int(np.searchsorted(self.steps[s], self.random.random())))]

    def zoom(self, row, side):
        """(scale, centre in the photo): around a face of a drawn size, or anywhere."""
        r, f = self.random, row["faces"]
        if not len(f) or r.random() < 0.2:
            return math.exp(r.uniform(math.log(0.4), math.log(1.1))), r.uniform(0, row["width"]), r.uniform(0, row["height"])
        sizes = np.sqrt((f[:, 2] - f[:, 0]) * (f[:, 3] - f[:, 1])).clip(3)
        wanted = math.exp(r.uniform(math.log(8), math.log(0.75 * side)))
        # Of the photo's faces one that needs little change of scale, and hardly any enlargement.
        cost = np.abs(np.log(wanted / sizes)) + 4 * np.log(wanted / sizes / 1.25).clip(0) + r.exponential(0.5, len(sizes))
        k = int(cost.argmin())
        scale = float(np.clip(wanted / sizes[k], 0.06, 1.4))
        return scale, float(f[k, 0] + f[k, 2]) / 2, float(f[k, 1] + f[k, 3]) / 2

    def crop(self, side, depth=0):
        """(rgb, faces, ignored, complete): `complete` [side, side] bool, where unlabelled means no face."""
        r, row = self.random, self.photo()
        scale, cx, cy = self.zoom(row, side)
        if depth < 2 and (row["width"] * scale < 0.65 * side or row["height"] * scale < 0.5 * side) and r.random() < 0.85:
            return self.mosaic(side, depth)
        angle = math.radians(r.uniform(-30, 30) if r.random() < 0.12 else r.uniform(-6, 6) if r.random() < 0.4 else 0.0)
        aspect, mirror = math.exp(r.uniform(-0.1, 0.1) / 2), -1.0 if r.random() < 0.5 else 1.0
        zx, zy = scale * aspect, scale / aspect
        turn = np.array([[math.cos(angle) * zx * mirror, -math.sin(angle) * zy], [math.sin(angle) * zx * mirror, math.cos(angle) * zy]])
        target = np.array([self.place(cx, zx, row["width"], side, mirror), self.place(cy, zy, row["height"], side, 1.0)])
        shift = target - turn @ np.array([cx, cy])
        picture = self.warp(row, turn, shift, scale, side)
        if picture is None:
            return self.crop(side, depth)
        faces, ignored = moved(row["faces"], turn, shift), moved(row["ignored"], turn, shift)
        faces, hidden = visible(faces, side)
        ignored = np.concatenate([ignored, hidden]).clip(0, side)
        ignored = ignored[(ignored[:, 2:] > ignored[:, :2]).all(1)] if len(ignored) else ignored
        return picture, faces, ignored, np.full((side, side), row["set"] in COMPLETE)

    def place(self, centre, scale, length, side, mirror):
        """Where in the crop the centre comes, so that the photo fills the crop if it can."""
        if mirror < 0:
            centre = length - centre
        p = self.random.uniform(0.12, 0.88) * side
        low, high = p - centre * scale, p + (length - centre) * scale
        if high - low < side:
            return p + self.random.uniform(0, side - (high - low)) - low
        return p - low if low > 0 else p + side - high if high < side else p

    def warp(self, row, turn, shift, scale, side):
        corners = (np.array([[0, 0], [side, 0], [0, side], [side, side]]) - shift) @ np.linalg.inv(turn).T
        x0, y0 = np.maximum(0, np.floor(corners.min(0)).astype(int) - 2)
        x1, y1 = np.minimum([row["width"], row["height"]], np.ceil(corners.max(0)).astype(int) + 3)
        if x1 - x0 < 4 or y1 - y0 < 4:
            return None
        part, shift = self.photos.rgb(row)[y0:y1, x0:x1], shift + turn @ np.array([x0, y0])
        if scale < 0.6:
            w, h = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
            part = cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA)
            turn = turn / np.array([w / (x1 - x0), h / (y1 - y0)])
        # A coordinate is a pixel's centre plus a half.
        shift = shift + turn @ np.array([0.5, 0.5]) - 0.5
        border = (0, 0, 0) if self.random.random() < 0.6 else tuple(int(v) for v in self.random.integers(0, 256, 3))
        return cv2.warpAffine(part, np.concatenate([turn, shift[:, None]], 1), (side, side), flags=cv2.INTER_LINEAR, borderValue=border)

    def mosaic(self, side, depth):
        half, out, complete, faces, ignored = side // 2, np.zeros((side, side, 3), np.uint8), np.zeros((side, side), bool), [], []
        for dy in (0, half):
            for dx in (0, half):
                a, f, i, c = self.crop(half, depth + 1)
                out[dy: dy + half, dx: dx + half], complete[dy: dy + half, dx: dx + half] = a, c
                faces.append(f + np.float32([dx, dy, dx, dy]))
                ignored.append(i + np.float32([dx, dy, dx, dy]))
        return out, np.concatenate(faces), np.concatenate(ignored), complete

    def light(self, x, faces):
        """Changes of colour, things in front of faces, blur, noise and compression, each seldom."""
        r = self.random
        if r.random() < 0.35:
            ramp, gamma, contrast, lift = np.arange(256) / 255, math.exp(r.uniform(-0.6, 0.6)), math.exp(r.uniform(-0.35, 0.35)), r.uniform(-30, 30)
            cast = r.uniform(-14, 14, 3) if r.random() < 0.5 else np.zeros(3)
            table = ((ramp ** gamma)[:, None] - 0.5) * contrast * 255 + 127.5 + lift + cast
            x = cv2.LUT(x, table.clip(0, 255).astype(np.uint8)[None])
        u = r.random()
        if u < 0.2:
            grey = cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            f = 0.0 if u < 0.08 else r.uniform(0.3, 1.7)
            x = cv2.addWeighted(x, f, grey, 1 - f, 0)
        for face in faces[r.random(len(faces)) < 0.07]:
            self.hide(x, face)
        u = r.random()
        if u < 0.05:
            x = cv2.GaussianBlur(x, (0, 0), r.uniform(0.5, 1.8))
        elif u < 0.08:
            kernel = np.zeros((n := int(r.integers(3, 9)), n), np.float32)
            kernel[n // 2] = 1 / n
            x = cv2.filter2D(x, -1, kernel if r.random() < 0.5 else kernel.T)
        if r.random() < 0.05:
            x = np.clip(x + r.normal(0, r.uniform(3, 16), x.shape), 0, 255).astype(np.uint8)
        if r.random() < 0.1:
            x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(r.integers(15, 75))])[1], 1)
        return x

    def hide(self, x, face):
        """A mask over the lower half, dark glasses or a patch."""
        r, (x1, y1), (w, h) = self.random, face[:2], face[2:] - face[:2]
        u, colour = r.random(), tuple(int(v) for v in r.integers(0, 256, 3))
        if u < 0.55:
            axes = max(1, int(w * r.uniform(0.38, 0.55))), max(1, int(h * r.uniform(0.2, 0.34)))
            cv2.ellipse(x, (int(x1 + w / 2), int(y1 + h * r.uniform(0.68, 0.85))), axes, 0, 0, 360, colour, -1)
        elif u < 0.75:
            y, half = int(y1 + h * r.uniform(0.32, 0.42)), max(1, int(h * 0.09))
            cv2.rectangle(x, (int(x1 + 0.1 * w), y - half), (int(x1 + 0.9 * w), y + half), tuple(int(v) for v in r.integers(0, 60, 3)), -1)
        else:
            a, b = x1 + w * r.uniform(-0.1, 0.6), y1 + h * r.uniform(-0.1, 0.6)
            cv2.rectangle(x, (int(a), int(b)), (int(a + w * r.uniform(0.2, 0.5)), int(b + h * r.uniform(0.2, 0.5))), colour, -1)

    def maps(self, faces, ignored, complete):
        """At stride 4: peaks (CenterNet's Gaussians), centres (weight of a face's centre cell), counted, empty (no face near, by complete labels),
        boxes [4] and their weights."""
        n = self.side // STRIDE
        peaks, centres, near, weights = (np.zeros((n, n), np.float32) for _ in range(4))
        counted, boxes = np.ones((n, n), np.float32), np.zeros((4, n, n), np.float32)
        for b in np.concatenate([ignored, faces]):
            (cx, cy), (w, h) = (b[:2] + b[2:]) / 2 / STRIDE, (b[2:] - b[:2]) / STRIDE * 1.5
            near[max(0, int(cy - h / 2)): math.ceil(cy + h / 2), max(0, int(cx - w / 2)): math.ceil(cx + w / 2)] = 1
        for b in ignored / STRIDE:
            counted[max(0, int(b[1])): math.ceil(b[3]), max(0, int(b[0])): math.ceil(b[2])] = 0
        for b in faces[np.argsort(-(faces[:, 2:] - faces[:, :2]).prod(1))] / STRIDE:
            w, h, cx, cy = b[2] - b[0], b[3] - b[1], (b[0] + b[2]) / 2, (b[1] + b[3]) / 2
            ix, iy, sigma = min(n - 1, int(cx)), min(n - 1, int(cy)), max(0.6, 0.17 + 0.091 * math.sqrt(w * h))
            reach = math.ceil(3 * sigma)
            s = np.s_[max(0, iy - reach): iy + reach + 1, max(0, ix - reach): ix + reach + 1]
            x, y = self.x[s], self.y[s]
            np.maximum(peaks[s], np.exp(-((x - ix) ** 2 + (y - iy) ** 2) / (2 * sigma * sigma)), out=peaks[s])
            size = STRIDE * math.sqrt(w * h)
            here = (x == ix) & (y == iy)
            inner = here | ((np.abs(x + 0.5 - cx) <= np.clip(0.16 * w, 0.5, 1.5)) & (np.abs(y + 0.5 - cy) <= np.clip(0.16 * h, 0.5, 1.5)))
            centres[iy, ix] = 0.6 if size < 12 else 1.0 if size < 48 else 1.5 if size < 96 else 2.0
            weights[s] = np.where(inner, np.where(here, 1.0, 0.35), weights[s])
            for c, v in enumerate((math.log(h), math.log(w), cy - 0.5 - y, cx - 0.5 - x)):
                boxes[c][s] = np.where(inner, v, boxes[c][s])
            counted[s] = np.where(here, 1.0, counted[s])
        empty = (near == 0) & complete[STRIDE // 2:: STRIDE, STRIDE // 2:: STRIDE]
        return peaks, centres, counted, empty.astype(np.float32), boxes, weights

    def sample(self):
        picture, faces, ignored, complete = self.crop(self.side)
        return self.light(picture, faces), *self.maps(faces, ignored, complete)

    def batch(self, n):
        return [np.stack(v) for v in zip(*(self.sample() for _ in range(n)))]


def moved(boxes, turn, shift):
    """Boxes under an affine map: upright boxes of the turned ellipses."""
    if not len(boxes):
        return boxes.copy()
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2 @ turn.T + shift, (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt((half[:, None, :] ** 2 * turn[None] ** 2).sum(2))
    return np.concatenate([centre - reach, centre + reach], 1).astype(np.float32)


def visible(boxes, side):
    """(boxes that count, boxes that count neither way)"""
    if not len(boxes):
        return boxes, boxes
    size, centre = boxes[:, 2:] - boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (np.minimum(boxes[:, 2:], side) - np.maximum(boxes[:, :2], 0)).clip(0)
    boxes, size, centre, inside = (v[inside.prod(1) > 0] for v in (boxes, size, centre, inside))
    good = (inside.prod(1) >= VISIBLE * size.prod(1)) & (centre >= 1).all(1) & (centre <= side - 1).all(1) & (size[:, 1] >= LEAST) & (size[:, 0] >= 0.7 * LEAST)
    return boxes[good], boxes[~good]
