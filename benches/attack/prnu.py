#!/usr/bin/env python3
"""Does the noise of a camera's sensor link what the program writes to other photos of the same sensor?

Two sensors are simulated: each pixel answers to light by a fixed share more or less (1.5 % standard deviation, as phones have), with fresh noise in every
photo, JPEG at quality 95. The attacker has `--known` photos of the first and estimates its pattern (Chen et al. 2008), then
correlates it with what is left of a photo when its picture is taken away (Wiener filter). Peak to correlation energy (PCE) of 60 or more counts as
a match by custom. For `--scramble` the attacker also tries every zoom that the program may have used.

Reported for the photos as they were, as the program writes them, and with --scramble: median PCE, photos of the first sensor at 60 and more, at more than
the best one of the second sensor; and how far the scrambled picture is from the plain one (dB of PSNR, after undoing nothing).

  python3 prnu.py --photos $UNFACE_DATA/wider_dev --unface ../../target/release/unface
"""
import argparse
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

SIDE = 640
STRENGTH, SHOT = 0.015, 1.5
ZOOMS = [1.0] + [1 + z / 1000 for z in range(5, 26)]


def sensor(seed):
    return np.random.default_rng(seed).normal(0, STRENGTH, (SIDE, SIDE, 3)).astype(np.float32)


def taken(scene, pattern, rng):
    noisy = scene * (1 + pattern) + rng.normal(0, SHOT, scene.shape)
    return np.clip(noisy + 0.5, 0, 255).astype(np.uint8)


def grey(bgr):
    return bgr.astype(np.float32) @ np.float32([0.114, 0.587, 0.299])


def residual(image):
    """What a Wiener filter takes for noise."""
    mean = cv2.blur(image, (5, 5))
    spread = np.maximum(cv2.blur(image * image, (5, 5)) - mean * mean, 0)
    noise = 9.0
    rest = (image - mean) * noise / np.maximum(spread, noise)
    rest -= rest.mean(0, keepdims=True)
    return rest - rest.mean(1, keepdims=True)


def fingerprint(images):
    top = sum(residual(i) * i for i in images)
    pattern = top / (sum(i * i for i in images) + 1)
    pattern -= pattern.mean(0, keepdims=True)
    return pattern - pattern.mean(1, keepdims=True)


def pce(image, pattern):
    """Peak to correlation energy, the peak within 24 pixels of no shift."""
    a, b = residual(image), pattern * image
    c = np.fft.irfft2(np.fft.rfft2(a - a.mean()) * np.conj(np.fft.rfft2(b - b.mean())), a.shape)
    near = np.roll(c, (24, 24), (0, 1))[:49, :49]
    y, x = np.unravel_index(near.argmax(), near.shape)
    peak = near[y, x]
    rest = np.roll(c, (29 - y, 29 - x), (0, 1))
    rest[:11, :11] = 0
    return float(np.sign(peak) * peak**2 / (np.sum(rest**2) / (c.size - 121)))


def zoomed(pattern, zoom):
    if zoom == 1:
        return pattern
    middle = SIDE / 2 - 0.5
    matrix = np.float32([[zoom, 0, middle - zoom * middle], [0, zoom, middle - zoom * middle]])
    return cv2.warpAffine(pattern, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True, type=Path)
    p.add_argument("--unface", required=True, type=Path)
    p.add_argument("--known", type=int, default=30)
    p.add_argument("--probes", type=int, default=12)
    a = p.parse_args()
    scenes = []
    for path in sorted(a.photos.rglob("*.jpg")):
        image = cv2.imread(str(path))
        h, w = image.shape[:2]
        if min(h, w) >= SIDE:
            y, x = (h - SIDE) // 2, (w - SIDE) // 2
            scenes.append(image[y:y + SIDE, x:x + SIDE].astype(np.float32))
    need = a.known + a.probes
    assert len(scenes) >= need, f"{len(scenes)} photos of {SIDE} pixels and more; {need} are needed"
    scenes = [scenes[i] for i in np.random.default_rng(0).permutation(len(scenes))[:need]]
    rng = np.random.default_rng(1)
    first, second = sensor(10), sensor(11)
    jpeg = lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 1)
    known = [grey(jpeg(taken(s, first, rng))) for s in scenes[:a.known]]
    patterns = {z: zoomed(fingerprint(known), z) for z in ZOOMS}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for i, scene in enumerate(scenes[a.known:]):
            for name, pattern in (("own", first), ("other", second)):
                (work / "as-it-was").mkdir(exist_ok=True)
                cv2.imwrite(str(work / "as-it-was" / f"{name}{i:02}.jpg"), taken(scene, pattern, rng), [cv2.IMWRITE_JPEG_QUALITY, 95])
        for folder, more in (("written", []), ("scrambled", ["--scramble"])):
            subprocess.run([a.unface.resolve(), "as-it-was", "-o", folder, "-q", *more], cwd=work, check=True)
        apart = []
        for path in sorted((work / "written").iterdir()):
            d = cv2.imread(str(path)).astype(np.float32) - cv2.imread(str(work / "scrambled" / path.name)).astype(np.float32)
            apart.append(10 * np.log10(255**2 / np.mean(d * d)))
        print("| photos | median PCE, own | other | own ≥ 60 | own above every other |\n|---|---|---|---|---|")
        for folder, zooms, title in (("as-it-was", [1.0], "as they were"), ("written", [1.0], "as the program writes them"),
                                     ("scrambled", [1.0], "--scramble"), ("scrambled", ZOOMS, "--scramble, zoom searched")):
            score = {"own": [], "other": []}
            for path in sorted((work / folder).iterdir()):
                image = grey(cv2.imread(str(path)))
                score[path.name.rstrip(".jpg0123456789")].append(max(pce(image, patterns[z]) for z in zooms))
            own, other = np.array(score["own"]), np.array(score["other"])
            print(f"| {title} | {np.median(own):.0f} | {np.median(other):.0f} | {np.mean(own >= 60):.0%} | {np.mean(own > other.max()):.0%} |", flush=True)
        print(f"--scramble against none: {np.median(apart):.1f} dB")


if __name__ == "__main__":
    main()
