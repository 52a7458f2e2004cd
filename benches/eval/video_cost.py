#!/usr/bin/env python3
"""CPU seconds a frame and peak memory of a video, beside ffmpeg's decode + encode of the same clip.

  video_cost.py CLIP [--unface PROGRAM] [--preset medium] [--crf 20] [--rounds 2]

Prints the distance to the limit as a ratio: what the whole program takes over what ffmpeg alone takes to decode and
encode the clip with the same settings. Children count. The least of the rounds counts; a ratio is comparable between
machines, a figure is not. Memory is that of the largest single process.
"""
import argparse
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path


def run(command, folder):
    """User + system seconds with all children, wall seconds, peak KiB of the largest process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, own = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status != 0:
        raise SystemExit(f"{command[0]} failed with status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began, own.ru_maxrss


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("clip")
    p.add_argument("--unface", default="target/release/unface")
    p.add_argument("--preset", default="medium")
    p.add_argument("--crf", default="20")
    p.add_argument("--rounds", type=int, default=2)
    a = p.parse_args()
    clip, unface = str(Path(a.clip).resolve()), str(Path(a.unface).resolve())
    counted = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets",
         "-of", "csv=p=0", clip], capture_output=True, text=True, check=True)
    frames = int(counted.stdout.split()[0].strip(","))
    with tempfile.TemporaryDirectory() as folder:
        settings = ["-preset", a.preset, "-crf", a.crf]
        jobs = {
            "ffmpeg decode": ["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-map", "0:v:0", "-f", "null", "-"],
            "ffmpeg decode + encode": ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", clip, "-map", "0:v:0",
                                       *settings, "limit.mp4"],
            "unface detect": [unface, "detect", "--quiet", clip],
            "unface": [unface, "--quiet", "--overwrite", "--preset", a.preset, "--crf", a.crf, clip, "-o", "out.mp4"],
        }
        best = {}
        for _ in range(a.rounds):
            for name, command in jobs.items():
                best[name] = min(run(command, folder), best.get(name, (9e9, 0, 0)))
    limit = best["ffmpeg decode + encode"][0]
    for name, (cpu, wall, memory) in best.items():
        print(f"{name:24} {cpu / frames:7.4f} CPU-s a frame {wall:7.2f} s wall {memory / 1024:6.0f} MB  {cpu / limit:5.2f} of the limit")
    over = (best["unface"][0] - limit) / frames
    print(f"{frames} frames; above the limit: {over:.4f} CPU-s a frame")


if __name__ == "__main__":
    main()
