#!/bin/sh
# Measures the collector under load: JSON lines on stdout, everything else on stderr. Arguments: docs/scale.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
{
    tools/setup.sh test
    build_collector
} >&2
exec node bench/load.mjs "$@"
