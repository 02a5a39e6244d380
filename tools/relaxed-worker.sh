#!/bin/sh
# Trunk's step beside its own two builds: the same Worker once more for browsers with relaxed SIMD, as
# worker_relaxed.js and worker_relaxed_bg.wasm. RELAXED=0 leaves it out, and a debug build does.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
[ "${TRUNK_PROFILE:-debug}" = release ] && [ "${RELAXED:-1}" != 0 ] || exit 0

# Its own target directory: cargo locks one, and the two Workers are to be linked at the same time.
use_web "$RELAXED_DIR"
# Added to the flags of .cargo/config.toml; RUSTFLAGS would replace them.
cargo build --locked --quiet --target "$WASM_TARGET" --profile worker-release --bin worker --features worker \
    --config "target.$WASM_TARGET.rustflags=['-Ctarget-feature=+relaxed-simd']"
wasm-bindgen --target web --no-typescript --out-dir "$RELAXED_DIR/bindgen" --out-name worker_relaxed \
    "$RELAXED_DIR/$WASM_TARGET/worker-release/worker.wasm"
# Its own glue as well: the imports of the two may come out in a different order.
cp "$RELAXED_DIR/bindgen/worker_relaxed_bg.wasm" "$RELAXED_DIR/bindgen/worker_relaxed.js" "$TRUNK_STAGING_DIR/"
