#!/usr/bin/env python3
"""Writes the table of crates into THIRD-PARTY.md, from Cargo.lock by way of `cargo metadata`."""
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "\n## Crates in the program\n"


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]
    data = json.loads(subprocess.check_output(command, cwd=ROOT))
    packages = {p["id"]: p for p in data["packages"]}
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    todo, seen = [data["resolve"]["root"]], set()
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]) and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    rows = sorted((packages[i]["name"], packages[i]["version"], packages[i]["license"] or "see its source") for i in seen)
    path = ROOT / "THIRD-PARTY.md"
    head = path.read_text().split(MARK)[0]
    table = "".join(f"| {name} | {version} | {licence} |\n" for name, version, licence in rows)
    path.write_text(head + MARK + "\n| crate | version | licence |\n|---|---|---|\n" + table)


if __name__ == "__main__":
    main()
