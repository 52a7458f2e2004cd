#!/usr/bin/env bash
# Sets everything up and passes the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 scripts/setup.py
cargo test --quiet "$@"
