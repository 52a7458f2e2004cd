#!/usr/bin/env bash
# Sets everything up and passes the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/setup.py
cargo test --quiet "$@"
# A moment of each fuzzing target; fuzz/README.md has the long run.
cargo run --quiet -p unface-fuzz -- all 1
python3 scripts/check_crates.py
