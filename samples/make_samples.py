#!/usr/bin/env python3
"""Renders the sample pictures: people who do not exist, shaded so that a face detector finds them.

Heads are height fields over an ellipse (nose, brows, eye sockets, lips, chin raised or sunk),
lit by one lamp; eyes, brows, lips and hair are painted on. Deterministic. Needs numpy and pillow.
Usage: python3 make_samples.py [FOLDER]
"""
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SKINS = [(244, 208, 177), (229, 184, 143), (207, 150, 110), (172, 115, 78), (128, 80, 53), (88, 56, 40), (64, 42, 32)]
HAIRS = [(28, 22, 20), (52, 35, 25), (96, 62, 36), (160, 118, 66), (120, 116, 112), (18, 16, 18), (110, 44, 26)]
CLOTHES = [(120, 36, 40), (36, 60, 104), (46, 84, 60), (200, 176, 92), (70, 66, 74), (150, 90, 120), (210, 206, 198)]
# Width and height of a face's label, in units of the head's half width.
HALF_WIDTH, TOP, BOTTOM = 0.80, -0.62, 1.03


def blob(u, v, x, y, rx, ry):
    return np.exp(-(((u - x) / rx) ** 2 + ((v - y) / ry) ** 2))


def inside(u, v, x, y, rx, ry, soft=0.04):
    """1 inside an ellipse, 0 outside, with a soft rim."""
    d = np.sqrt(((u - x) / rx) ** 2 + ((v - y) / ry) ** 2)
    return np.clip((1 - d) / soft * min(rx, ry) + 0.5, 0, 1)


def head(size, rng, turn=0.0, mask=False, glasses=False, standing=False):
    """One head and shoulders, with body and legs when `standing`: an RGBA picture of 3.2 x size wide
    and 3.6 x size (standing 13.2 x) high, size = half width."""
    s = size * 2  # supersampled
    w, h = int(3.2 * s), int((13.2 if standing else 3.6) * s)
    v, u = np.mgrid[0:h, 0:w].astype(np.float64)
    u, v = (u - w / 2) / s, (v - 1.45 * s) / s
    skin = np.array(SKINS[rng.integers(len(SKINS))], float)
    hair = np.array(HAIRS[rng.integers(len(HAIRS))], float)
    cloth = np.array(CLOTHES[rng.integers(len(CLOTHES))], float)
    long_hair = rng.random() < 0.45
    jaw = 0.74 + 0.08 * rng.random()
    rx = np.where(v > 0.1, 0.80 - (0.80 - jaw) * np.clip((v - 0.1) / 0.9, 0, 1), 0.80)
    ry = np.where(v > 0, 1.05, 1.08)
    r2 = (u / rx) ** 2 + (v / ry) ** 2
    c = turn * 0.30  # features slide towards where the head looks
    x = u - c
    z = np.sqrt(np.clip(1 - r2, 0, 1)) * 0.85
    z += 0.20 * blob(x, v, 0, 0.22, 0.10, 0.26) + 0.16 * blob(x, v, 0, 0.36, 0.15, 0.10)
    z += 0.07 * blob(x, v, 0, -0.20, 0.45, 0.10) + 0.06 * blob(x, v, 0, 0.86, 0.22, 0.14)
    z += 0.05 * (blob(x, v, -0.42, 0.30, 0.18, 0.16) + blob(x, v, 0.42, 0.30, 0.18, 0.16))
    z -= 0.10 * (blob(x, v, -0.32, -0.02, 0.17, 0.10) + blob(x, v, 0.32, -0.02, 0.17, 0.10))
    z += 0.05 * (blob(x, v, 0, 0.58, 0.20, 0.05) + blob(x, v, 0, 0.68, 0.16, 0.05)) - 0.03 * blob(x, v, 0, 0.63, 0.22, 0.02)
    gy, gx = np.gradient(z, 1 / s)
    normal = np.stack([-gx, -gy, np.ones_like(z)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lamp = np.array([-0.35 + 0.5 * rng.random(), -0.55, 0.75])
    lamp /= np.linalg.norm(lamp)
    light = np.clip((normal * lamp).sum(-1), 0, 1)
    shade = (0.38 + 0.72 * light)[..., None]
    albedo = np.broadcast_to(skin, (h, w, 3)).copy()

    def paint(colour, amount):
        nonlocal albedo
        albedo = albedo * (1 - amount[..., None]) + np.asarray(colour, float) * amount[..., None]

    paint(skin * [1.02, 0.80, 0.78], 0.35 * (blob(x, v, -0.42, 0.32, 0.2, 0.16) + blob(x, v, 0.42, 0.32, 0.2, 0.16)))
    iris = [(60, 40, 28), (70, 90, 110), (70, 84, 50)][rng.integers(3)]
    for side in (-1, 1):
        e = side * 0.33
        paint(skin * 0.55, 0.55 * blob(x, v, e, -0.03, 0.20, 0.11))
        eye = inside(x, v, e, 0.0, 0.155, 0.070)
        paint((236, 232, 228), eye)
        paint(iris, eye * inside(x, v, e + 0.04 * turn, -0.005, 0.072, 0.075))
        paint((10, 8, 8), eye * inside(x, v, e + 0.04 * turn, -0.005, 0.036, 0.038))
        paint((255, 255, 255), eye * inside(x, v, e + 0.02, -0.03, 0.016, 0.016))
        paint(skin * 0.25, 0.9 * inside(x, v, e, -0.065, 0.17, 0.028) * (v < -0.03))
        tilt = v + 0.215 - 0.09 * (np.abs(x) - 0.33) ** 2 * 6
        paint(hair * 0.6, 0.9 * inside(x, tilt, e, 0, 0.20, 0.042))
        paint(skin * 0.30, 0.8 * inside(x, v, side * 0.075, 0.43, 0.045, 0.024))
    lips = skin * [0.86, 0.52, 0.50]
    paint(lips, 0.9 * inside(x, v, 0, 0.595, 0.235, 0.048))
    paint(lips * 1.08, 0.9 * inside(x, v, 0, 0.675, 0.19, 0.055))
    paint(skin * 0.22, 0.9 * inside(x, v, 0, 0.630, 0.235, 0.016))
    if mask:
        paint((120, 170, 200), inside(x, v, 0, 0.72, 0.62, 0.50) * (v > 0.20))
    if glasses:
        for side in (-1, 1):
            paint((14, 14, 16), inside(x, v, side * 0.33, 0.0, 0.24, 0.17))
        paint((14, 14, 16), inside(x, v, 0, -0.05, 0.12, 0.025))
    strand = 1 + 0.18 * np.sin(u * 60 + 6 * np.sin(v * 7)) * rng.random()
    line = -0.62 + 0.12 * np.cos(x * 4) + 0.30 * np.abs(u) ** 3
    cap = np.clip((line - v) * 14, 0, 1)
    colour = albedo * shade
    hair_lit = hair[None, None] * (0.55 + 0.75 * light)[..., None] * strand[..., None]
    colour = colour * (1 - cap[..., None]) + hair_lit * cap[..., None]
    face = np.clip((1 - np.sqrt(r2)) * s * 0.5 + 0.5, 0, 1)
    # From back to front: hair behind, shoulders, neck, ears, head.
    out = np.zeros((h, w, 4))

    def over(rgb, alpha):
        nonlocal out
        a = alpha[..., None]
        out[..., :3] = out[..., :3] * (1 - a) + rgb * a
        out[..., 3:] = np.maximum(out[..., 3:], a)

    back = inside(u, v, 0, -0.12, 0.93, 1.07, 0.03)
    if long_hair:
        back = np.maximum(back, inside(u, v, 0, 0.45, 0.95, 1.15, 0.03))
    over(hair[None, None] * (0.45 + 0.25 * np.clip(-u, -1, 1))[..., None] * strand[..., None], back)
    over(cloth * (0.75 + 0.25 * np.clip(-u, -1, 1))[..., None], inside(u, v, 0, 2.55, 1.55, 1.15, 0.03))
    if standing:
        folds = (0.75 + 0.25 * np.clip(-u, -1, 1) + 0.05 * np.sin(v * 5 + u * 3))[..., None]
        legs = (np.abs(np.abs(u) - 0.55) < 0.50) & (v > 5.6) & (v < 11.5)
        over(np.array((52, 54, 66)) * folds, legs.astype(float))
        width = 1.50 - 0.25 * np.clip((v - 2.3) / 3.5, 0, 1)
        over(cloth * folds, np.clip((width - np.abs(u)) * 12, 0, 1) * ((v > 2.3) & (v < 6.0)))
        over(cloth * folds * 0.8, 0.6 * (np.abs(np.abs(u) - 0.98) < 0.03) * ((v > 2.6) & (v < 6.0)))
    over(skin * (0.62 - 0.2 * blob(u, v, 0, 1.05, 0.6, 0.15))[..., None], inside(u, v, 0, 1.2, 0.40, 0.55, 0.04))
    for side in (-1, 1):
        over(skin * (0.72 - 0.08 * side), inside(u, v, side * 0.82, 0.12, 0.10, 0.20))
    over(colour, face)
    fringe = inside(u, v, 0, -0.55, 0.86, 0.56, 0.04) * np.clip((line - v) * 14, 0, 1)
    over(hair_lit, fringe)
    picture = Image.fromarray(np.clip(np.concatenate([out[..., :3], out[..., 3:] * 255], -1), 0, 255).astype(np.uint8), "RGBA")
    return picture.resize((w // 2, h // 2), Image.LANCZOS)


def put(canvas, truth, cx, cy, size, rng, **kinds):
    """Pastes a head whose face's middle is (cx, cy); notes its box."""
    picture = head(int(size), rng, **kinds)
    canvas.paste(picture, (int(cx - 1.6 * size), int(cy - 1.45 * size)), picture)
    box = [cx - HALF_WIDTH * size, cy + TOP * size, cx + HALF_WIDTH * size, cy + BOTTOM * size]
    w, h = canvas.size
    box = [max(0, box[0]), max(0, box[1]), min(w, box[2]), min(h, box[3])]
    truth.append([round(float(b), 1) for b in box])


def street(width, height, rng, horizon=0.45):
    """Sky, houses and pavement."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for y in range(height):
        t = y / height
        draw.line([(0, y), (width, y)], fill=(int(150 + 60 * t), int(180 + 40 * t), int(215 + 15 * t)))
    x = 0
    while x < width:
        w = int(width * (0.10 + 0.10 * rng.random()))
        top = int(height * (0.05 + 0.2 * rng.random()))
        tone = rng.integers(90, 190)
        base = (int(tone), int(tone * 0.92), int(tone * 0.85))
        draw.rectangle([x, top, x + w, height], fill=base)
        step = max(14, width // 40)
        for wy in range(top + step, int(height * 0.8), 2 * step):
            for wx in range(x + step // 2, x + w - step // 2, int(1.5 * step)):
                draw.rectangle([wx, wy, wx + step * 0.7, wy + step * 1.1], fill=tuple(int(c * 0.55) for c in base))
        x += w
    draw.rectangle([0, int(height * (horizon + 0.35)), width, height], fill=(112, 110, 108))
    return picture.convert("RGBA")


def sign(canvas, text, x, y, w, h, colour):
    draw = ImageDraw.Draw(canvas)
    draw.rectangle([x + w / 2 - w / 40, y + h, x + w / 2 + w / 40, y + 2.6 * h], fill=(120, 92, 60))
    draw.rectangle([x, y, x + w, y + h], fill=colour, outline=(60, 60, 60))
    font = ImageFont.load_default(size=max(8, int(h * 0.30)))
    box = draw.multiline_textbbox((0, 0), text, font=font, align="center")
    draw.multiline_text((x + (w - box[2]) / 2, y + (h - box[3]) / 2), text, font=font, fill=(30, 30, 34), align="center")


def finish(canvas, rng, blur=0.6, noise=3.0):
    picture = canvas.convert("RGB").filter(ImageFilter.GaussianBlur(blur))
    data = np.asarray(picture, float)
    data = data + rng.normal(0, noise, data.shape[:2])[..., None]
    return Image.fromarray(np.clip(data, 0, 255).astype(np.uint8))


def portrait(rng):
    canvas, truth = street(600, 750, rng), []
    canvas = canvas.filter(ImageFilter.GaussianBlur(9))
    put(canvas, truth, 300, 360, 170, rng)
    return finish(canvas, rng), truth


def group(rng, width=960, height=640, scale=1.0):
    canvas, truth = street(width, height, rng), []
    for i, (x, y, s) in enumerate([(0.16, 0.46, 0.105), (0.38, 0.40, 0.11), (0.62, 0.45, 0.105), (0.84, 0.42, 0.11)]):
        put(canvas, truth, x * width, y * height, s * height * scale, rng, turn=(i - 1.5) * 0.25)
    return finish(canvas, rng), truth


def crowd(rng, width=1600, height=1067):
    """Rows of people on a square, seen from a little above: the nearer, the larger and the lower."""
    canvas, truth = street(width, height, rng, horizon=0.07), []
    signs = [("NO FACES\nNO CASES", 180, 210), ("WE ARE\nMANY", 620, 150), ("RIGHT TO\nASSEMBLE", 1050, 200), ("PRIVACY\nIS SAFETY", 1360, 250)]
    for text, x, y in signs:
        sign(canvas, text, x, y, 190, 110, (238, 234, 222))
    for size, count in [(12, 24), (17, 18), (25, 12), (41, 8), (66, 5)]:
        for i in range(count):
            x = (i + 0.5 + 0.3 * (rng.random() - 0.5)) / count * width
            y = 325 + 10 * size + (rng.random() - 0.5) * size
            kinds = {"turn": (rng.random() - 0.5) * 1.0, "glasses": rng.random() < 0.08, "mask": rng.random() < 0.08}
            put(canvas, truth, x, y, size, rng, standing=True, **kinds)
    return finish(canvas, rng, 0.5), truth


def edges(rng, width=800, height=600):
    canvas, truth = street(width, height, rng), []
    for x, y, s in [(20, 300, 70), (790, 260, 80), (330, 40, 75), (520, 560, 80)]:
        put(canvas, truth, x, y, s, rng)
    return finish(canvas, rng), truth


def covered_faces(rng, width=900, height=500):
    canvas, truth = street(width, height, rng), []
    put(canvas, truth, 170, 230, 80, rng, mask=True)
    put(canvas, truth, 450, 230, 80, rng, glasses=True)
    put(canvas, truth, 730, 230, 80, rng, turn=1.0)
    return finish(canvas, rng), truth


def exif(orientation, canary=False, thumbnail=b""):
    """A TIFF block with an orientation and, with `canary`, all that a phone gives away."""
    ifd, data = [], b""
    base = 8 + 2 + 12 * (5 if canary else 1) + 4

    def text(tag, value):
        nonlocal data
        value = value.encode() + b"\0"
        ifd.append(struct.pack("<HHII", tag, 2, len(value), base + len(data)))
        data += value + b"\0" * (len(value) % 2)

    if canary:
        text(0x010F, "CANARY-MAKE")
        text(0x0110, "CANARY-MODEL")
    ifd.append(struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0))
    if canary:
        text(0x0132, "2026:11:23 CANARY-TIME")
        gps = base + len(data)
        data += struct.pack("<H", 2) + struct.pack("<HHI4s", 1, 2, 2, b"N\0\0\0")
        data += struct.pack("<HHII", 2, 5, 3, gps + 30) + struct.pack("<I", 0) + struct.pack("<6I", 52, 1, 31, 1, 7, 1)
        ifd.append(struct.pack("<HHII", 0x8825, 4, 1, gps))
    following = base + len(data) if thumbnail else 0
    if thumbnail:
        start = following + 2 + 12 * 2 + 4
        data += struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, start)
        data += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + struct.pack("<I", 0) + thumbnail
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(ifd)) + b"".join(ifd) + struct.pack("<I", following) + data


# What turns an upright picture into the one that a camera stores under each orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}

    def save(name, picture, boxes, **options):
        if name.endswith(".jpg"):
            options.setdefault("quality", 86)
        picture.save(folder / name, **options)
        truth[name] = boxes

    made = {}
    for seed, (name, make) in enumerate([("portrait", portrait), ("group", group), ("crowd", crowd), ("edges", edges), ("covered", covered_faces)]):
        made[name] = make(np.random.default_rng(100 + seed))
        save(f"{name}.jpg", *made[name])
    rng = np.random.default_rng(7)
    save("nobody.jpg", finish(street(800, 533, rng), rng), [])
    picture, boxes = made["group"]
    save("grey.jpg", picture.convert("L"), boxes)
    cut, cut_boxes = Image.new("RGBA", (360, 400)), []
    put(cut, cut_boxes, 180, 180, 95, np.random.default_rng(11))
    save("cutout.png", cut, cut_boxes)
    small = picture.resize((480, 320), Image.LANCZOS)
    small_boxes = [[round(v / 2, 1) for v in b] for b in boxes]
    for orientation, turn in STORED.items():
        stored = small.transpose(turn) if turn is not None else small
        save(f"orientation-{orientation}.jpg", stored, small_boxes, exif=exif(orientation), quality=90)
    thumbnail = io.BytesIO()
    picture.resize((160, 107)).save(thumbnail, "JPEG", quality=80)
    save("telltale.jpg", picture, boxes, exif=exif(1, True, thumbnail.getvalue()), comment=b"CANARY-COMMENT",
         xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>CANARY-XMP</dc:creator></x:xmpmeta>')
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()
