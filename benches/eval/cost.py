#!/usr/bin/env python3
"""CPU seconds and peak memory of whole processes, ours and the peer's beside each other.

  cost.py --photos FOLDER [--unface PROGRAM] [--deface PROGRAM] [--rounds N]

Three jobs: all photos of the folder (JPEG out), one picture of 4000 x 2820 pixels, one of 800 x 564, both put together
from the folder's photos. The programs take turns, so that whatever else the machine does hits both; the least of the rounds counts.
A ratio is comparable between machines, a figure is not.
"""
import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from PIL import Image


def run(command, folder):
    """User + system seconds, wall seconds and peak KiB of one process."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} failed with status {status}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss


def montage(photos, width, height, path):
    """Photos side by side, row under row, at their own size."""
    picture, x, y, row = Image.new("RGB", (width, height)), 0, 0, 0
    for index in range(10_000):
        photo = Image.open(photos[index % len(photos)]).convert("RGB")
        picture.paste(photo, (x, y))
        x, row = x + photo.width, max(row, photo.height)
        if x >= width:
            x, y, row = 0, y + row, 0
        if y >= height:
            break
    picture.save(path, quality=90)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("--unface", default="target/release/unface")
    p.add_argument("--deface", help="left out where not given")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--jobs", help="unface's --jobs", default="")
    a = p.parse_args()
    photos = sorted(Path(a.photos).rglob("*.jpg"))
    unface = [str(Path(a.unface).resolve()), "--quiet"] + (["--jobs", a.jobs] if a.jobs else [])
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        flat = folder / "photos"
        flat.mkdir()
        for index, photo in enumerate(photos):
            shutil.copy(photo, flat / f"{index:04}.jpg")
        montage(photos, 4000, 2820, folder / "large.jpg")
        Image.open(photos[5]).convert("RGB").resize((800, 564)).save(folder / "small.jpg", quality=90)
        names = sorted(f"photos/{f.name}" for f in flat.iterdir())
        for job, inputs in (("folder", names), ("4000x2820", ["large.jpg"]), ("800x564", ["small.jpg"])):
            programs = {"unface": [*unface, "--overwrite", "-o", "out/", *inputs]}
            if a.deface:
                programs["deface"] = [a.deface, *inputs]
            best = {}
            for _ in range(a.rounds):
                for name, command in programs.items():
                    best[name] = min(run(command, folder), best.get(name, (9e9, 0, 0)))
                    for old in flat.glob("*_anonymized*"):
                        old.unlink()
            for name, (cpu, wall, memory) in best.items():
                ratio = f"  {cpu / best['deface'][0]:.2f} of deface's" if "deface" in best and name == "unface" else ""
                print(f"{job:10} {name:7} {cpu:7.2f} CPU-s {wall:7.2f} s wall {memory / 1024:6.0f} MB{ratio}", flush=True)


if __name__ == "__main__":
    main()
