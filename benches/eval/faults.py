#!/usr/bin/env python3
"""Whether a run that is killed at any moment leaves nothing partial and can go on, and whether large folders are done whole.

Usage: faults.py kill UNFACE PHOTO [--times 100] | folder UNFACE PHOTO [--files 10000] | deep UNFACE PHOTO [--levels 300]

`kill`: a run over a folder of copies is ended by SIGKILL after a random time, again and again with --skip-existing; after
each there must be no child, no file that the verifier refuses, and no leftover that is not a hidden temporary file.
`folder`: that many copies of a photo, one in a thousand cut off; all others must be covered, and the code must be 1.
`deep`: a tree of that many levels, one photo in each tenth. Standard library only.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def copies(folder, photo, count):
    data, photos = Path(photo).read_bytes(), folder / "photos"
    photos.mkdir()
    lines = []
    for number in range(count):
        name = photos / f"{number:05}.jpg"
        name.write_bytes(data)
        lines.append(json.dumps({"path": f"photos/{name.name}", "faces": []}))
    (folder / "boxes").write_text("\n".join(lines) + "\n")
    return data


def command(program):
    return [program, "photos", "-o", "safe/", "--boxes", "boxes", "--cover", "5,5,40,40", "-q"]


def children(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def runs(pid):
    """Whether a process is there and not only waits for its end to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(args, folder, program):
    copies(folder, args.photo, args.files or 12)
    rng, wrong, reached = random.Random(args.seed), 0, []
    safe = folder / "safe"
    for number in range(args.times):
        run = subprocess.Popen([*command(program), "--skip-existing"], cwd=folder, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, args.most))
        before = children(run.pid)
        run.send_signal(signal.SIGKILL)
        run.wait()
        until = time.time() + 5
        while (alive := [p for p in before if runs(p)]) and time.time() < until:
            time.sleep(0.01)
        files = sorted(p for p in safe.iterdir() if p.suffix == ".jpg") if safe.is_dir() else []
        checked = subprocess.run([program, "verify", *map(str, files)], capture_output=True) if files else None
        strange = [p.name for p in safe.iterdir() if p.suffix != ".jpg" and not p.name.startswith(".unface-")] if safe.is_dir() else []
        uncovered = [p.name for p in files if p.read_bytes() == Path(args.photo).read_bytes()]
        if alive or strange or uncovered or (checked and checked.returncode):
            wrong += 1
            print(f"FAILED kill {number}: children {alive}, strange {strange}, uncovered {uncovered}, {checked and checked.stdout[:200]}")
        reached.append(len(files))
        if len(files) == (args.files or 12):
            for path in files:
                path.unlink()
    code = subprocess.run([*command(program), "--skip-existing"], cwd=folder).returncode
    whole = len(list(safe.glob("*.jpg"))) == (args.files or 12)
    print(f"{args.times} kills: {wrong} wrong; outputs there after a kill: {min(reached)} to {max(reached)}; "
          f"the last run went on to code {code}, {'all there' if whole else 'NOT all there'}")
    return wrong or code or not whole


def many(args, folder, program):
    count = args.files or 10000
    data = copies(folder, args.photo, count)
    broken = range(999, count, 1000)
    for number in broken:
        (folder / f"photos/{number:05}.jpg").write_bytes(data[:len(data) // 2])
    began = time.time()
    run = subprocess.run(command(program), cwd=folder, capture_output=True, text=True)
    made = len(list((folder / "safe").iterdir()))
    print(f"{count} files: code {run.returncode}, {made} outputs, {len(broken)} broken, {time.time() - began:.0f} s")
    return run.returncode != (1 if len(broken) else 0) or made != count - len(broken)


def deep(args, folder, program):
    at, expected = folder / "photos", 0
    at.mkdir()
    here = os.getcwd()
    os.chdir(at)
    for level in range(args.levels):
        if level % 10 == 0:
            Path("a.jpg").write_bytes(Path(args.photo).read_bytes())
            expected += 1
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    run = subprocess.run([program, "photos", "-o", "safe/", "-q"], cwd=folder, capture_output=True, text=True)
    made = sum(len(files) for _, _, files in os.walk(folder / "safe"))
    print(f"{args.levels} levels: code {run.returncode}, {made} of {expected} outputs")
    return run.returncode or made != expected


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kill", "folder", "deep"])
    parser.add_argument("program")
    parser.add_argument("photo")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--most", type=float, default=1.0, help="longest time until a kill, in seconds")
    parser.add_argument("--files", type=int)
    parser.add_argument("--levels", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.photo = str(Path(args.photo).resolve())
    with tempfile.TemporaryDirectory() as folder:
        work = {"kill": kill, "folder": many, "deep": deep}[args.what]
        sys.exit(bool(work(args, Path(folder), str(Path(args.program).resolve()))))


if __name__ == "__main__":
    main()
