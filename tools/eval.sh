#!/bin/sh
# Measures the learning: JSON lines on stdout, a table and everything else on stderr. Arguments: docs/eval.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
target_dir=${CARGO_TARGET_DIR:-$NATIVE_DIR}
fashion="$HITL_CACHE/eval/fashion-mnist"
packed=/usr/share/datasets/fashion-mnist

# The four files of Debian's package, unpacked: the benchmark reads no gzip.
unpack_fashion() {
    mkdir -p "$fashion"
    for name in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
        [ -s "$fashion/$name" ] && continue
        if [ ! -r "$packed/$name.gz" ]; then
            command -v apt-get >/dev/null 2>&1 ||
                fail "Fashion-MNIST is missing" "put its four files, unpacked, into $fashion"
            debian_install dataset-fashion-mnist
        fi
        gzip -dc "$packed/$name.gz" >"$fashion/$name.part"
        mv "$fashion/$name.part" "$fashion/$name"
    done
}

{
    case " $* " in
    *" fashion "* | *" embedder "*) unpack_fashion ;;
    *" digits "* | *" promise "* | *" weather "* | *" speed "*) ;;
    *) unpack_fashion ;;
    esac
    say "building the benchmark (tract takes some minutes, once)"
    CARGO_TARGET_DIR="$target_dir" cargo build --quiet --profile eval-release --features eval --bin eval
} >&2
# The caller's words come last and so win.
exec "$target_dir/eval-release/eval" root="$ROOT" cache="$HITL_CACHE/eval" fashion="$fashion" out="$target_dir/eval" "$@"
