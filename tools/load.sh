#!/bin/sh
# Measures the collector under load: JSON lines on stdout, everything else on stderr. Arguments: docs/scale.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
{
    tools/setup.sh test
    say "building the collector"
    CARGO_TARGET_DIR="$NATIVE_DIR" cargo build --quiet --locked --profile collector-release --features collector --bin collector
} >&2
COLLECTOR="$NATIVE_DIR/collector-release/collector" exec node bench/load.mjs "$@"
