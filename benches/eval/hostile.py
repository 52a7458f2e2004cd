#!/usr/bin/env python3
"""Whether hostile and broken files are refused in order: no panic, no hang, no abort, bounded time and memory.

Usage: hostile.py UNFACE FILE_OR_FOLDER... [--mutate] [--flips 20] [--search] [--keep FOLDER] [-- OPTIONS OF UNFACE]

Each file is one run of the program. With --mutate a file is also cut at 10, 50 and 90 % and given 20 single flipped
bits, half of them in its first 4 KiB, where headers stand. Without --search boxes are given, so that only reading and
writing is tried. A run fails the measurement where its code is neither 0 nor 1, where it takes more than 5 s of CPU or
600 MB in any of its processes, where it says that it broke, where an output stands beside a code of 1 (or none beside
0), or where the verifier complains of the program's own output. Prints the failures, the counts and the slowest and
largest. Standard library only.
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST_SECONDS, MOST_MEGABYTES, ENDLESS = 5, 600, 180
BROKEN = ("broke the", "program broke", "panic", "would hold more")


def mutations(data, flips, rng):
    for share in (10, 50, 90):
        yield f"cut{share}", data[:len(data) * share // 100]
    for number in range(flips):
        if not data:
            return
        changed = bytearray(data)
        reach = len(data) if number % 2 else min(len(data), 4096)
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
        yield f"flip{number}", bytes(changed)


def run(program, path, folder, options, search):
    output = folder / "out"
    command = [program, str(path), "-o", str(output) + "/", "-q", *options]
    if not search:
        boxes = folder / "boxes.jsonl"
        boxes.write_text(json.dumps({"path": str(path), "faces": []}) + "\n")
        command += ["--boxes", str(boxes), "--cover", "1,1,9,9"]
    began = time.time()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={k: os.environ[k] for k in ("HOME", "PATH") if k in os.environ})
    # What is said fits into a pipe, unless it is endless too.
    os.set_blocking(process.stderr.fileno(), False)
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        if time.time() - began > ENDLESS:
            process.kill()
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = (process.stderr.read() or b"").decode(errors="replace")
    made = sorted(p for p in output.rglob("*") if p.is_file()) if output.is_dir() else []
    result = {"code": process.returncode, "wall": time.time() - began, "cpu": usage.ru_utime + usage.ru_stime,
              "mb": usage.ru_maxrss / 1024, "said": said.strip(), "made": len(made)}
    for path in made:
        path.unlink()
    return result


def wrong(r):
    if r["code"] not in (0, 1):
        return f"ended with {r['code']}"
    if r["cpu"] > MOST_SECONDS:
        return f"took {r['cpu']:.1f} s"
    if r["wall"] > ENDLESS:
        return "did not end"
    if r["mb"] > MOST_MEGABYTES:
        return f"took {r['mb']:.0f} MB"
    if any(word in r["said"] for word in BROKEN):
        return "broke"
    if (r["code"] == 0) != (r["made"] > 0):
        return f"code {r['code']} and {r['made']} outputs"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--mutate", action="store_true")
    parser.add_argument("--flips", type=int, default=20)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where files that failed are put")
    arguments, options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1:]
    args = parser.parse_args(arguments)
    program = str(Path(args.program).resolve())
    files = []
    for name in map(Path, args.inputs):
        files += sorted(p for p in name.rglob("*") if p.is_file()) if name.is_dir() else [name]
    files = [f for f in files if not f.name.startswith("README")]
    rng, results, failed = random.Random(args.seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in files:
            data = file.read_bytes()
            variants = [("", data)]
            if args.mutate:
                variants += mutations(data, args.flips, rng)
            for name, changed in variants:
                path = folder / ("in" + file.suffix)
                path.write_bytes(changed)
                result = run(program, path, folder, options, args.search)
                result["name"] = f"{file.name} {name}".strip()
                results.append(result)
                if why := wrong(result):
                    failed += 1
                    print(f"FAILED {result['name']}: {why}; {result['said'][:200]}", flush=True)
                    if args.keep:
                        args.keep.mkdir(parents=True, exist_ok=True)
                        (args.keep / f"{file.stem}.{name or 'as-is'}{file.suffix}").write_bytes(changed)
    codes = dict(collections.Counter(r["code"] for r in results))
    sandbox = sum("its decoder" in r["said"] for r in results)
    print(f"{len(results)} runs of {len(files)} files: {failed} failed; codes {codes}; {sandbox} ended in the sandbox")
    for key in ("cpu", "wall", "mb"):
        most = sorted(results, key=lambda r: -r[key])[:4]
        print(f"  most {key}: " + ", ".join(f"{r[key]:.1f} ({r['name']})" for r in most))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
