#!/bin/sh
# Builds dist/: the demo page and the npm package in one.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
use_web
say "building dist/ (compiler: $(rustc --version | cut -d' ' -f2), $(wasm_way); the first time takes many minutes)"
# Offline is about Trunk's own downloads; the crates come with a fetch before it, those of build scripts and macros too.
cargo fetch --quiet --locked --target "$WASM_TARGET" --target host-tuple
TRUNK_SKIP_VERSION_CHECK=true NO_COLOR=true trunk --log warn build --release --offline --locked
