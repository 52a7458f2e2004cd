#!/usr/bin/env python3
"""Runs the program over a folder of faulty and hostile cases and prints what each gave.

The folder holds `photos`, `videos` and `security`. Pictures and videos of the first two are covered; files of the
third are given to `unface verify`; scripts run inside --work, where `target`, `samples` and, one level up, `shared`
lead to the project's and to --shared. Nothing is judged: each line is there to be read.

One line per case: its name, the exit code, what was reported. Usage:

    python3 benches/eval/cases.py --unface target/release/unface --shared ../shared --work out/cases [--only WORD]
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Script, arguments, and the clip `h.mp4` beside it where it needs one.
SCRIPTS = [
    ("security/sar.sh", [], True),
    ("security/hdr.sh", [], True),
    ("security/inter.sh", [], True),
    ("security/flicker.py", ["30", "2", "between"], False),
    ("security/flicker.py", ["60", "4", "between"], False),
    ("security/flicker.py", ["120", "6", "between"], False),
    ("security/flicker.py", ["240", "6", "between"], False),
    ("security/scroll.py", ["jump"], False),
    ("security/decoy.py", [], False),
    ("security/k4.py", [], False),
    ("security/variants.py", [], False),
    ("security/seq.py", [], False),
    ("security/vid.py", [], False),
    ("security/blind.py", [], False),
    ("security/dos3.py", ["11000", "2"], False),
    ("security/mp4dos.py", [], False),
]
SECONDS = 600


def run(command, **options):
    """Exit code (or "timeout") and the lines that a command printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, **options)
    except subprocess.TimeoutExpired:
        return "timeout", []
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


def cover(unface, path, out):
    """Covers one file and sums up its line in the report."""
    shutil.rmtree(out, ignore_errors=True)
    code, lines = run([unface, path, "-q", "-o", f"{out}/", "--report", "-"])
    for line in lines:
        if not line.startswith("{"):
            continue
        record = json.loads(line)
        video = record.get("video") or {}
        faces = video.get("tracks", len(record.get("faces", [])))
        parts = [record["status"], f"{faces} faces", record.get("error") or ""]
        parts += [c["code"] for c in record.get("cautions", [])]
        return code, "; ".join(p for p in parts if p)
    return code, " / ".join(lines[:2])


def workshop(a):
    """The folder in which scripts run, with links to what they expect."""
    work = Path(a.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    links = {work / "target": ROOT / "target", work / "samples": ROOT / "samples",
             work.parent / "shared": Path(a.shared).resolve()}
    for link, target in links.items():
        if not link.exists():
            link.symlink_to(target)
    # Scripts name their own folder `scratch/x`.
    for folder in ("scratch", "v"):
        (work / folder).mkdir(exist_ok=True)
    for folder in "abcdt":
        link = work / "scratch" / folder
        if not link.exists():
            link.symlink_to(work)
    return work


def script(work, path, arguments, clip):
    if clip and not (work / "h.mp4").exists():
        source = next((work.parent / "shared/data/videos").glob("short_hamilton*"))
        run(["ffmpeg", "-v", "error", "-y", "-i", source, "-t", "3", "-an", work / "h.mp4"])
    interpreter = sys.executable if path.suffix == ".py" else "bash"
    return run([interpreter, path, *arguments], cwd=work, env={**os.environ, "PYTHONWARNINGS": "ignore"})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--unface", required=True)
    p.add_argument("--shared", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--only", default="")
    a = p.parse_args()
    unface = str(Path(a.unface).resolve())
    cases = Path(a.shared).resolve() / "cases"
    work = workshop(a)
    files = sorted(f for f in cases.glob("*/*") if f.suffix not in (".py", ".sh", ".c") and a.only in str(f))
    for path in files:
        name = path.relative_to(cases)
        if name.parts[0] == "security":
            code, lines = run([unface, "verify", path])
            print(f"{name}: exit {code}: verify: {' / '.join(lines[:3]) or 'silent'}", flush=True)
        else:
            code, what = cover(unface, path, work / "results")
            print(f"{name}: exit {code}: {what}", flush=True)
    for name, arguments, clip in SCRIPTS:
        if a.only in name:
            code, lines = script(work, cases / name, arguments, clip)
            print(f"{name} {' '.join(arguments)}: exit {code}", *lines[-24:], sep="\n    ", flush=True)


if __name__ == "__main__":
    main()
