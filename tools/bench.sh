#!/bin/sh
# Builds dist/ and measures it: JSON lines on stdout, everything else on stderr. Arguments: bench/README.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
{
    tools/setup.sh test
    tools/dist.sh
    # What npm has installed is what the lock asks for, or it is installed anew.
    if ! cmp -s bench/package-lock.json bench/node_modules/.installed-lock.json; then
        say "installing onnxruntime-web for the comparison"
        npm ci --prefix bench --ignore-scripts --no-audit --no-fund
        cp bench/package-lock.json bench/node_modules/.installed-lock.json
    fi
} >&2
exec node bench/bench.mjs "$@"
