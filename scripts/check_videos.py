#!/usr/bin/env python3
"""Runs the program over a folder of videos and compares what came out with what ffprobe says of the input.

For each: refused (with the message), or written with as many frames, each at the same time (1 ms, counted
from the first), the same length, nothing that exiftool or strings could find. Exits with 1 if anything is off.

Usage: python3 scripts/check_videos.py FOLDER [--program target/debug/unface] [--args ...]
Needs ffprobe.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def probe(path):
    command = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-show_entries",
               "frame=pts_time,best_effort_timestamp_time:stream=width,height,duration,start_time:stream_disposition=attached_pic:format=duration,start_time",
               "-of", "json", str(path)]
    out = json.loads(subprocess.run(command, capture_output=True, text=True).stdout or "{}")
    frames = [float(f.get("pts_time") or f.get("best_effort_timestamp_time") or "nan") for f in out.get("frames", [])]
    stream = (out.get("streams") or [{}])[0]
    return frames, stream, out.get("format", {})


def leaks(path):
    """Words in the file that name an encoder, a muxer or a canary."""
    data = path.read_bytes()
    words = [b"x264", b"x265", b"Lavf", b"Lavc", b"libx26", b"CANARY", b"Handler", b"GoPro", b"SVT-AV1", b"Apple"]
    return [w.decode() for w in words if w in data]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--program", default="target/debug/unface")
    p.add_argument("--args", nargs=argparse.REMAINDER, default=[])
    a = p.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as out:
        for source in sorted(Path(a.folder).iterdir()):
            if source.suffix not in (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".gif"):
                continue
            folder = Path(out) / source.name
            folder.mkdir()
            run = subprocess.run([a.program, str(source), "-o", f"{folder}/", "-q", *a.args],
                                 capture_output=True, text=True)
            made = list(folder.iterdir())
            if run.returncode != 0:
                note = run.stderr.strip().splitlines()
                state = "REFUSED" if not made else "REFUSED BUT WROTE"
                bad += bool(made)
                print(f"{source.name:36} {state}: {note[0].split(': ', 2)[-1] if note else '(no message)'}")
                continue
            frames, stream, form = probe(source)
            got, new, newform = probe(made[0])
            faults = []
            if len(frames) != len(got):
                faults.append(f"{len(got)} frames of {len(frames)}")
            shifted = [(x - frames[0]) - (y - got[0]) for x, y in zip(frames, got)]
            worst = max(map(abs, shifted), default=0)
            if worst > 0.001:
                faults.append(f"times off by {worst * 1000:.1f} ms")
            length, newlength = float(stream.get("duration") or form.get("duration") or 0), float(new.get("duration") or newform.get("duration") or 0)
            if abs(length - newlength) > 0.02:
                faults.append(f"length {newlength:.3f} instead of {length:.3f}")
            faults += [f"holds {w}" for w in leaks(made[0])]
            bad += bool(faults)
            print(f"{source.name:36} {len(got):4} frames, {worst * 1000:.2f} ms, {newlength:.3f} s of {length:.3f} "
                  f"{new.get('width')}x{new.get('height')} {made[0].suffix} {'WRONG: ' + '; '.join(faults) if faults else 'right'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
