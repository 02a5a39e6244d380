# Sourced by the other scripts: where things are kept, and how the scripts speak. Works in sh and bash.

# The checkout: the scripts run from its root.
ROOT=${HITL_ROOT:-$(git rev-parse --show-toplevel 2>/dev/null || pwd)}
. "$ROOT/tools/versions.env"

# Everything that is built or downloaded lies outside the checkout, so that a fresh clone is warm.
export HITL_CACHE="${HITL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hitl-labeler}"
TOOLS="$HITL_CACHE/tools"
NATIVE_DIR="$HITL_CACHE/native"
WEB_DIR="$HITL_CACHE/web"
RELEASE_DIR="$HITL_CACHE/web-release"
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

# The release build of the collector, as COLLECTOR; one that is given is taken as it is.
build_collector() {
    [ -z "${COLLECTOR:-}" ] || return 0
    say "building the collector"
    CARGO_TARGET_DIR="$NATIVE_DIR" cargo build --locked --quiet --profile collector-release --features collector --bin collector || return
    export COLLECTOR="$NATIVE_DIR/collector-release/collector"
}

debian_install() {
    command -v apt-get >/dev/null 2>&1 ||
        fail "there is no apt-get here for: $*" "install it by your system's means"
    say "installing from Debian: $*"
    mkdir -p "$HITL_CACHE/log"
    apt_log="$HITL_CACHE/log/apt.log"
    # The list first as it is: fetching a new one takes longer than most packages.
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$apt_log" 2>&1; then
        as_root apt-get update >"$apt_log" 2>&1 ||
            fail "apt-get update failed: $(tail -n 1 "$apt_log")" "is Debian's mirror reachable? The log: $apt_log"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >"$apt_log" 2>&1 ||
            fail "apt-get install $* failed: $(tail -n 1 "$apt_log")" "the log: $apt_log"
    fi
}

digest() { sha256sum "$1" | cut -c1-16; }

# npm_into FOLDER [OPTION…]: what FOLDER's package-lock.json names, in the cache under the lock's digest;
# FOLDER/node_modules, where Node looks, is a link to it. The options are npm's.
npm_into() {
    npm_folder=$1
    shift
    npm_name=$(basename "$npm_folder")
    npm_place="$HITL_CACHE/npm/$npm_name-$(digest "$npm_folder/package-lock.json")"
    if [ ! -f "$npm_place/.complete" ]; then
        say "npm ci for $npm_folder"
        rm -rf "$npm_place"
        mkdir -p "$npm_place" "$HITL_CACHE/log"
        npm_log="$HITL_CACHE/log/npm-$npm_name.log"
        cp "$npm_folder/package.json" "$npm_folder/package-lock.json" "$npm_place/"
        npm ci --prefix "$npm_place" --no-audit --no-fund "$@" >"$npm_log" 2>&1 ||
            fail "npm ci for $npm_folder failed: $(tail -n 1 "$npm_log")" "is the npm registry reachable? The log: $npm_log"
        touch "$npm_place/.complete"
    fi
    [ -L "$npm_folder/node_modules" ] || rm -rf "$npm_folder/node_modules"
    ln -sfn "$npm_place/node_modules" "$npm_folder/node_modules"
}

# python_into LIST PLACE [OPTION…]: a virtual environment of its own with what LIST names, beside PLACE under the
# list's digest; PLACE is a link to it. The options are pip's.
python_into() {
    pip_list=$1 pip_link=$2
    shift 2
    pip_place="$pip_link-$(digest "$pip_list")"
    if [ ! -f "$pip_place/.complete" ]; then
        say "$(basename "$pip_list" .txt) from PyPI (some minutes, once)"
        rm -rf "$pip_place"
        mkdir -p "$(dirname "$pip_place")" "$HITL_CACHE/log"
        pip_log="$HITL_CACHE/log/pip-$(basename "$pip_list" .txt).log"
        { python3 -m venv "$pip_place" && "$pip_place/bin/pip" install --quiet --disable-pip-version-check "$@" -r "$pip_list"; } >"$pip_log" 2>&1 ||
            fail "what $pip_list names did not install: $(tail -n 1 "$pip_log")" "is PyPI reachable? The log: $pip_log"
        touch "$pip_place/.complete"
    fi
    ln -sfn "$pip_place" "$pip_link"
}

# count_tests LOG: "PASSED FAILED", as cargo and wasm-bindgen-test-runner ("test result: ok. 3 passed; 0 failed; …")
# and node ("# pass 3") say it.
count_tests() {
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        /^test result: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) good += $(i-1); if ($i ~ /^failed/) bad += $(i-1) } }
        /^# (pass|fail|cancelled) [0-9]+$/ { if ($2 == "pass") good += $3; else bad += $3 }
        END { print good + 0, bad + 0 }'
}
