#!/usr/bin/env bash
# Sets everything up and covers the faces in samples/. The results are in out/.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/setup.py
cargo run --release --quiet -- samples/ -o out/ --overwrite "$@"
