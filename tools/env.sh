# Sourced by the other scripts: where things are kept, and how the scripts speak. Works in sh and bash.

# The checkout: the scripts run from its root.
ROOT=${HITL_ROOT:-$(git rev-parse --show-toplevel 2>/dev/null || pwd)}
. "$ROOT/tools/versions.env"

# Everything that is built or downloaded lies outside the checkout, so that a fresh clone is warm.
export HITL_CACHE="${HITL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hitl-labeler}"
TOOLS="$HITL_CACHE/tools"
NATIVE_DIR="$HITL_CACHE/native"
WEB_DIR="$HITL_CACHE/web"
RELAXED_DIR="$HITL_CACHE/web-relaxed"
WASM_TARGET=wasm32-unknown-unknown

case ":$PATH:" in
*":$TOOLS/bin:"*) ;;
*) PATH="$TOOLS/bin:$PATH" ;;
esac
# rustup's own place: a shell that was open while rustup was installed does not have it yet.
if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
fi
export PATH

say() { printf '\033[2m·\033[0m %s\n' "$*" >&2; }

# fail WHAT [MEND…]: what is wrong, and what the reader can do about it.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    for mend in "$@"; do printf '  mend: %s\n' "$mend" >&2; done
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "this step needs root: $*" "run it as root, or install sudo, then start again"
    fi
}

# Which compiler makes the Wasm: "rustup" or "debian". HITL_WASM chooses; else what tools/setup.sh found.
wasm_way() {
    if [ -n "${HITL_WASM:-}" ]; then
        printf %s "$HITL_WASM"
    elif [ -r "$HITL_CACHE/wasm-way" ]; then
        cat "$HITL_CACHE/wasm-way"
    fi
}

# Puts the compiler of the chosen way in front. Every Wasm build of the project goes through this.
use_web() {
    case "$(wasm_way)" in
    rustup) ;;
    debian)
        PATH="$TOOLS/debian:$PATH"
        export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
        ;;
    *) fail "the Wasm compiler is not set up yet" "tools/setup.sh demo" ;;
    esac
    export PATH CARGO_TARGET_DIR="${1:-$WEB_DIR}"
}
