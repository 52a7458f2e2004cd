#!/usr/bin/env bash
# Sets everything up and passes the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/setup.py
cargo test --quiet "$@"
# A moment of the own parsers each; third-party decoders, whose panics are caught as one failed input, are in the long run: fuzz/README.md.
cargo run --quiet -p unface-fuzz -- own 1
python3 scripts/check_crates.py
