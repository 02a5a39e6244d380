#!/bin/sh
# Trunk's last step, in its staging directory: the Wasm made small. A debug build stays as it is.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
[ "${TRUNK_PROFILE:-debug}" = release ] || exit 0
stage=$TRUNK_STAGING_DIR

# What the models were made with stays in the source.
rm -rf "$stage/models/make"
find "$stage" -name .gitkeep -delete

# wasm-opt for the page only. On a tract build (binaryen 108, -Os) it took a sixth off the raw size, but
# the brotli size grew from 1.52 to 1.61 MB, and it costs more than a minute.
# The features are those that rustc's wasm32 target switches on by itself, and simd128.
wasm-opt -Oz --enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
    --enable-reference-types --enable-sign-ext --enable-simd \
    -o "$stage/page_bg.wasm" "$stage/page_bg.wasm"

# What no model of ours reaches, while the functions still have names: 1.58 to 1.37 MB brotli.
node tools/snip-wasm.mjs "$stage"/worker*_bg.wasm
node tools/strip-wasm.mjs "$stage"/*.wasm
