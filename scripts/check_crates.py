#!/usr/bin/env python3
"""Checks what the program is built from: licences, duplicates, sources and, where a list is at hand, advisories.

Usage: python3 scripts/check_crates.py [--advisories FOLDER]

Licences: each crate in the program must offer one of those in ALLOWED, or stand in EXCEPTIONS with a reason. Sources:
each crate must come from crates.io, with a checksum. Duplicates: several versions of one crate are listed, and more of
them than DUPLICATES are a failure. Advisories: FOLDER is a checkout of RustSec's advisory-db; without it that step is
said to be left out. Needs cargo and Python 3.11 or newer.
"""
import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Whoever ships the program under MIT or Apache-2.0 can keep the terms of each of these.
ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0",
           "BSL-1.0", "CC0-1.0", "0BSD", "Unlicense", "MIT-0"}
EXCEPTIONS = {
    "jpeg-encoder": "MIT OR Apache-2.0, AND IJG for tables: attribution in documentation, given in THIRD-PARTY.md",
    "webpki-root-certs": "CDLA-Permissive-2.0, data; only where the feature download-binaries builds the program",
}
# Crates of which the tree holds more than one version, at most.
DUPLICATES = 12


def offered(expression):
    """Whether an SPDX expression can be kept with what is allowed: any side of OR, all of AND."""
    expression = expression.replace("/", " OR ").strip()
    tokens = re.findall(r"\(|\)|AND|OR|[^\s()]+(?: WITH [^\s()]+)?", expression)

    def either(at):
        value, at = both(at)
        while at < len(tokens) and tokens[at] == "OR":
            other, at = both(at + 1)
            value = value or other
        return value, at

    def both(at):
        value, at = one(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = one(at + 1)
            value = value and other
        return value, at

    def one(at):
        if tokens[at] == "(":
            value, at = either(at + 1)
            return value, at + 1
        return tokens[at] in ALLOWED, at + 1

    return either(0)[0]


def in_the_program(data):
    """Crates that are linked in on any system, without those that only build or test."""
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    packages = {p["id"]: p for p in data["packages"]}
    root = next(p["id"] for p in data["packages"] if p["name"] == "unface")
    todo, seen = [root], set()
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]) and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return [packages[i] for i in seen]


def version(text):
    return tuple(int(n) for n in re.findall(r"\d+", text.split("-")[0].split("+")[0])[:3])


def satisfies(have, requirement):
    """Whether a version lies in one of RustSec's ranges, such as `>=1.2.3, <2` or `^0.4.1`."""
    for part in requirement.split(","):
        operator, bound = re.match(r"\s*(>=|<=|>|<|=|\^|~)?\s*(.+)", part).groups()
        bound = version(bound) + (0,) * (3 - len(version(bound)))
        mine = version(have)
        caret = mine >= bound and mine[:1 + (bound[0] == 0)] == bound[:1 + (bound[0] == 0)]
        holds = {">=": mine >= bound, "<=": mine <= bound, ">": mine > bound, "<": mine < bound, "~": mine[:2] == bound[:2],
                 "=": mine == bound, "^": caret, None: caret}[operator]
        if not holds:
            return False
    return True


def advisories(folder, locked):
    wrong = []
    for file in sorted(Path(folder).glob("crates/*/*.md")):
        text = file.read_text()
        block = re.search(r"```toml\n(.*?)```", text, re.S)
        if not block:
            continue
        entry = tomllib.loads(block.group(1))
        advisory, versions = entry["advisory"], entry.get("versions", {})
        if advisory.get("withdrawn") or advisory.get("informational") in ("unmaintained", "notice"):
            continue
        ranges = versions.get("patched", []) + versions.get("unaffected", [])
        for have in locked.get(advisory["package"], []):
            if not any(satisfies(have, r) for r in ranges):
                wrong.append(f"{advisory['package']} {have}: {advisory['id']}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advisories", type=Path)
    args = parser.parse_args()
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    data = json.loads(subprocess.check_output(command, cwd=ROOT))
    program = in_the_program(data)
    failures = []
    for package in program:
        licence = package["license"]
        if package["name"] not in EXCEPTIONS and not (licence and offered(licence)):
            failures.append(f"licence: {package['name']} {package['version']} is under {licence}")
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    own = {"unface", "unface-fuzz"}
    for entry in lock:
        if entry["name"] not in own and ("crates.io" not in entry.get("source", "") or "checksum" not in entry):
            failures.append(f"source: {entry['name']} {entry['version']} comes from {entry.get('source')}")
    names = {}
    for package in program:
        names.setdefault(package["name"], set()).add(package["version"])
    several = {name: sorted(versions) for name, versions in sorted(names.items()) if len(versions) > 1}
    print(f"{len(program)} crates in the program; licences: {len(program) - len(failures)} in order")
    print("several versions of: " + ("; ".join(f"{n} {', '.join(v)}" for n, v in several.items()) or "none"))
    if len(several) > DUPLICATES:
        failures.append(f"duplicates: {len(several)} crates where {DUPLICATES} are allowed")
    if args.advisories:
        locked = {}
        for entry in lock:
            locked.setdefault(entry["name"], []).append(entry["version"])
        failures += [f"advisory: {line}" for line in advisories(args.advisories, locked)]
    else:
        print("advisories: left out, as no checkout of advisory-db was named (--advisories)")
    for failure in failures:
        print(failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
