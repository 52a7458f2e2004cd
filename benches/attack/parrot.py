#!/usr/bin/env python3
"""What an attacker reads from covered faces who knows the program and other photos of the same people.

The "parrot" attack of McPherson, Shokri and Shmatikov (2016): whatever an effect leaves, train on it. The attacker is favoured:
every face is scaled to one region at one place of one picture, by the landmarks of its uncovered original, so that neither what lies around nor a
detector's wavering tells or hides anything; and the attacker runs the very program over the clear photos of everybody, also without its noise.

  nn      the nearest of all other photos, of every identity with two photos (84) and with three (38)
  lda     the nearest identity, after whitening by how photos of one person differ, and by the noise (38)
  plda    the likeliest identity, if identities and the photos of each are normal, and the noise is known (38)
  linear  a linear classifier on the pixels, trained on noisy draws; three folds (38)
  cnn     three convolutions, likewise; three folds, several seeds (38)

Each probe is one draw of one photo that was not trained on; each figure is the mean over identities of the share of probes that are named right, so that
whoever does not look at the picture gets 1/38 (a random photo among the others: 2.1 % of 38 and 0.8 % of 84 identities). In brackets: 95 % of 4000
resamplings of the identities. `rank`: how often a photo of the same person is nearer than one of another (chance 50 %).

  python3 parrot.py --data $UNFACE_DATA/lfw_dev --unface ../../target/release/unface --out results.json
"""
import argparse
import collections
import json
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

# Region of a face by its five landmarks: centre relative to their mean, and sides, in units of their root mean square distance from
# it; medians of what the detector finds on these photos, times the 1.3 of --region.
DX, DY, WIDE, HIGH = 0.03, -0.42, 4.09 * 1.3, 5.60 * 1.3
SIDE, X, Y, W, H = 256, 56, 32, 144, 192
SMALL = (24, 32)
WEAK = "--weak-effect-i-accept-the-risk"
SETTINGS = {
    "none": None,
    "fill": ["--effect", "fill"],
    "erase": ["--effect", "erase"],
    "blur 1": ["--effect", "blur", "--cells", "1"],
    "blur 2 (default)": ["--effect", "blur"],
    "pixelate 2 (default)": ["--effect", "pixelate"],
    "blur 3": ["--effect", "blur", "--cells", "3", WEAK],
    "blur 4": ["--effect", "blur", "--cells", "4", WEAK],
    "blur 6": ["--effect", "blur", "--cells", "6", WEAK],
    "pixelate 6": ["--effect", "pixelate", "--cells", "6", WEAK],
    "blur 2, noise 1/2": ["--effect", "blur", "--noise", "0.5", WEAK],
    "blur 2, noise 1/4": ["--effect", "blur", "--noise", "0.25", WEAK],
    "blur 4, noise 1/2": ["--effect", "blur", "--cells", "4", "--noise", "0.5", WEAK],
    "blur 4, noise 1/4": ["--effect", "blur", "--cells", "4", "--noise", "0.25", WEAK],
    "blur 6, no noise": ["--effect", "blur", "--cells", "6", "--noise", "0", WEAK],
}


def backdrop():
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    return np.stack([90 + 60 * y, 110 + 30 * x, 140 - 40 * y], -1).astype(np.uint8)


def gallery(data, folder):
    """Writes every photo of an identity with two or more; gives their identities."""
    landmarks = json.loads((data / "landmarks.json").read_text())
    count = collections.Counter(n.split("/")[0] for n in landmarks)
    names = sorted(n for n in landmarks if count[n.split("/")[0]] >= 2)
    for i, name in enumerate(names):
        points = np.array(landmarks[name])
        middle = points.mean(0)
        unit = np.sqrt(((points - middle) ** 2).sum() / len(points))
        w, h = WIDE * unit, HIGH * unit
        x, y = middle[0] + DX * unit - w / 2, middle[1] + DY * unit - h / 2
        matrix = np.float32([[W / w, 0, -x * W / w], [0, H / h, -y * H / h]])
        face = cv2.warpAffine(cv2.imread(str(data / name)), matrix, (W, H), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        picture = backdrop()
        picture[Y:Y + H, X:X + W] = face
        cv2.imwrite(str(folder / f"{i:04}.png"), picture)
    boxes = "".join(json.dumps({"path": f"{i:04}.png", "width": SIDE, "height": SIDE, "faces": []}) + "\n" for i in range(len(names)))
    (folder.parent / "boxes.jsonl").write_text(boxes)
    return np.array([n.split("/")[0] for n in names])


def redacted(unface, folder, arguments, n):
    """One draw: [n, 32, 24, 3], 0 to 1."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        if arguments is None:
            out = folder
        else:
            command = [unface, *(f"{i:04}.png" for i in range(n)), "-o", f"{out}/", "-q", "--boxes", folder.parent / "boxes.jsonl",
                       "--cover", f"{X},{Y},{W},{H}", *arguments]
            subprocess.run(list(map(str, command)), check=True, cwd=folder)
        load = lambda p: cv2.resize(cv2.imread(str(p))[Y:Y + H, X:X + W], SMALL, interpolation=cv2.INTER_AREA)
        files = sorted(Path(out).glob("*.png"))
        assert len(files) == n, (len(files), n)
        return np.stack([load(p) for p in files]).astype(np.float32) / 255


def interval(right, identity, seed=0):
    """Mean over identities of the mean over their photos; 95 % interval."""
    rng = np.random.default_rng(seed)
    each = np.array([right[identity == i].mean() for i in np.unique(identity)])
    means = each[rng.integers(0, len(each), (4000, len(each)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(100 * float(v), 1) for v in (each.mean(), low, high)]


def reduced(clear, draws, most=80):
    """Principal components of the noise-free outputs: what the noise adds beyond them is no help."""
    flat = clear.reshape(len(clear), -1)
    middle = flat.mean(0)
    _, s, axes = np.linalg.svd(flat - middle, full_matrices=False)
    # Below, there is only the rounding to 8 bits.
    axes = axes[:most][s[:most] > 4e-3 * max(s[0], 1e-6)]
    if not len(axes):
        axes = np.eye(flat.shape[1])[:1]
    return (flat - middle) @ axes.T, (draws.reshape(*draws.shape[:2], -1) - middle) @ axes.T


def nearest(clear, draws, y):
    """Shares of draws named right, one a photo; and how often one's own are nearer than others'."""
    right, rank = np.zeros(len(y)), []
    for j in range(len(y)):
        others = np.arange(len(y)) != j
        d = ((draws[:, j, None] - clear[None, others]) ** 2).sum(2)
        d = d + 1e-9 * np.random.default_rng(j).random(d.shape)  # equal ones in no order
        own = y[others] == y[j]
        right[j] = np.mean(own[d.argmin(1)])
        rank.append(np.mean(d[:, own][:, :, None] < d[:, ~own][:, None, :]))
    return right, float(np.mean(rank))


def whitened(clear, draws, y):
    """Shares of draws named right, one a photo: by the nearest mean, and by the likeliest identity if identities and the photos of each are normal
    (probabilistic LDA), which also knows how little a mean of few photos says."""
    means_right, likely_right, size = np.zeros(len(y)), np.zeros(len(y)), clear.shape[1]
    noise = np.cov((draws - draws.mean(0)).reshape(-1, size).T).reshape(size, size) if len(draws) > 1 else 0
    small = 1e-6 * max(1.0, np.trace(np.cov(clear.T).reshape(size, size))) * np.eye(size)
    for j in range(len(y)):
        others = np.arange(len(y)) != j
        g, yo = clear[others], y[others]
        counts = np.bincount(yo)
        means = np.array([g[yo == i].mean(0) for i in range(y.max() + 1)])
        rest = g - means[yo]
        within = rest.T @ rest / (len(g) - len(means))
        seen = within + noise + small
        white = np.linalg.cholesky(np.linalg.inv(seen))
        d = (((draws[:, j] @ white)[:, None] - (means @ white)[None]) ** 2).sum(2)
        jitter = 1e-9 * np.random.default_rng(j).random(d.shape)
        means_right[j] = np.mean((d + jitter).argmin(1) == y[j])
        values, vectors = np.linalg.eigh(np.cov(means.T).reshape(size, size) - within * np.mean(1 / counts))
        between = (vectors * np.maximum(values, 1e-6)) @ vectors.T
        middle, score = means.mean(0), np.zeros(d.shape)
        for n in np.unique(counts):
            gain = between @ np.linalg.inv(between + within / n + small)
            spread = seen + between - gain @ between
            spread = (spread + spread.T) / 2
            inverse, size_of = np.linalg.inv(spread), np.linalg.slogdet(spread)[1]
            for i in np.flatnonzero(counts == n):
                off = draws[:, j] - (middle + gain @ (means[i] - middle))
                score[:, i] = (off @ inverse * off).sum(1) + size_of
        likely_right[j] = np.mean((score + jitter).argmin(1) == y[j])
    return means_right, likely_right


def network(kind, classes):
    if kind == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * SMALL[0] * SMALL[1], classes))
    layers, before = [], 3
    for width in (24, 48, 96):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 3 * 4, classes))


def trained(kind, clear, draws, y, seeds, steps):
    right, folds = np.zeros(len(y)), np.zeros(len(y), int)
    for i in np.unique(y):
        own = np.flatnonzero(y == i)
        folds[own] = np.arange(len(own)) % 3
    pixels = torch.tensor(np.concatenate([clear[None], draws])).permute(0, 1, 4, 2, 3)
    pixels = (pixels - pixels.mean()) / (pixels.std() + 1e-6)
    target = torch.tensor(y)
    for seed in range(seeds):
        torch.manual_seed(seed)
        for fold in range(3):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            model = network(kind, int(y.max()) + 1)
            steer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
            slow = torch.optim.lr_scheduler.CosineAnnealingLR(steer, steps)
            # As many of each identity, whatever its number of photos.
            weight = torch.tensor(1.0 / np.bincount(y[train])[y[train]])
            model.train()
            for _ in range(steps):
                photo = torch.tensor(train)[torch.multinomial(weight, 64, replacement=True)]
                batch = pixels[torch.randint(len(pixels), (64,)), photo]
                loss = nn.functional.cross_entropy(model(batch), target[photo])
                steer.zero_grad()
                loss.backward()
                steer.step()
                slow.step()
            model.eval()
            with torch.no_grad():
                for draw in pixels[1:]:
                    out = model(draw[test])
                    right[test] += (out.argmax(1) == target[test]).numpy() / (len(draws) * seeds)
    return right


def bare(arguments):
    """The same without noise."""
    at = arguments.index("--noise") if "--noise" in arguments else len(arguments)
    rest = arguments[:at] + arguments[at + 2:]
    return [*(r for r in rest if r != WEAK), "--noise", "0", WEAK]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, type=Path)
    p.add_argument("--unface", required=True, type=Path)
    p.add_argument("--out", type=Path)
    p.add_argument("--draws", type=int, default=8)
    p.add_argument("--seeds", type=int, default=3, help="of the cnn; 0 leaves out what is trained, which takes most of the time")
    p.add_argument("--steps", type=int, default=250)
    p.add_argument("--only", nargs="*", default=list(SETTINGS))
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    results = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "gallery"
        folder.mkdir()
        names = gallery(a.data, folder)
        count = collections.Counter(names)
        three = np.array([count[n] >= 3 for n in names])
        print("| setting | nn, 84 (0.8) | nn, 38 (2.1) | lda, 38 (2.6) | plda, 38 (2.6) | linear, 38 (2.6) | cnn, 38 (2.6) | rank (50) |\n|---|---|---|---|---|---|---|---|", flush=True)
        for name in a.only:
            began, arguments = time.process_time(), SETTINGS[name]
            get = lambda arguments: redacted(a.unface.resolve(), folder, arguments, len(names))
            draws = np.stack([get(arguments) for _ in range(a.draws if arguments else 1)])
            clear = get(bare(arguments)) if arguments and arguments[1] in ("blur", "pixelate") else draws.mean(0)
            few, noisy = reduced(clear, draws)
            y2 = np.unique(names, return_inverse=True)[1]
            y3 = np.unique(names[three], return_inverse=True)[1]
            row = {"nn84": interval(nearest(few, noisy, y2)[0], y2)}
            right, rank = nearest(few[three], noisy[:, three], y3)
            mean, likely = whitened(few[three], noisy[:, three], y3)
            row |= {"nn": interval(right, y3), "lda": interval(mean, y3), "plda": interval(likely, y3)}
            for kind in ("linear", "cnn") if a.seeds else ():
                seeds = a.seeds if kind == "cnn" else 1
                row[kind] = interval(trained(kind, clear[three], draws[:, three], y3, seeds, a.steps), y3)
            row |= {"rank": round(100 * rank, 1), "seconds": round(time.process_time() - began)}
            results[name] = row
            cells = [f"{row[k][0]} [{row[k][1]}, {row[k][2]}]" if k in row else "" for k in ("nn84", "nn", "lda", "plda", "linear", "cnn")]
            print(f"| {name} | {' | '.join(cells)} | {row['rank']} |", flush=True)
            if a.out:
                a.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
