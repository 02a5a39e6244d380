#!/bin/sh
# Trunk's last step, in its staging directory: wasm-opt on all Wasm. A debug build stays as it is.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
[ "${TRUNK_PROFILE:-debug}" = release ] || exit 0
stage=$TRUNK_STAGING_DIR

find "$stage" -name .gitkeep -delete

# What rustc's wasm32 target switches on by itself, and simd128 from .cargo/config.toml.
features="--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int
    --enable-reference-types --enable-sign-ext --enable-simd"

# optimise FILE FLAGS…: in place; the result is kept under the digest of what it was made from.
optimise() {
    file=$1
    shift
    key=$({ wasm-opt --version; echo "$@" $features; cat "$file"; } | sha256sum | cut -c1-32)
    kept="$HITL_CACHE/wasm-opt/$key.wasm"
    if [ ! -f "$kept" ]; then
        say "wasm-opt $* ${file##*/}"
        mkdir -p "$HITL_CACHE/wasm-opt"
        # shellcheck disable=SC2086  # a list of flags
        wasm-opt "$@" $features --strip-debug --strip-producers -o "$kept.part" "$file"
        mv "$kept.part" "$kept"
    fi
    cp "$kept" "$file"
}

optimise "$stage/page_bg.wasm" -Oz
optimise "$stage/worker_bg.wasm" -Os
if [ -f "$stage/worker_relaxed_bg.wasm" ]; then
    optimise "$stage/worker_relaxed_bg.wasm" -Os --enable-relaxed-simd
fi
