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

# No wasm-opt: Debian's binaryen 108 breaks what wasm-bindgen exports (start-up ends in WebAssembly.Table.set),
# and binaryen 132 (-Oz) made the download larger: the page from 352 to 359 kB brotli, the worker from 1.52 to 1.61 MB.

# What no model of ours reaches, while the functions still have names: 1.58 to 1.37 MB brotli.
node tools/snip-wasm.mjs "$stage"/worker*_bg.wasm
node tools/strip-wasm.mjs "$stage"/*.wasm
for glue in "$stage"/page.js "$stage"/worker*.js; do
    if [ -e "${glue%.js}_bg.wasm" ]; then node tools/short-names.mjs "$glue" "${glue%.js}_bg.wasm"; fi
done
