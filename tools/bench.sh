#!/bin/sh
# Builds dist/ and measures it: JSON lines on stdout, everything else on stderr. Arguments: bench/README.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
{
    tools/setup.sh test
    tools/dist.sh
    # onnxruntime-web for the comparison.
    npm_into bench --ignore-scripts
} >&2
exec node bench/bench.mjs "$@"
