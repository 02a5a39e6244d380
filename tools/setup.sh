#!/bin/sh
# Brings a machine to where the project can be built ("demo") and tested ("test"). Does only what is
# missing, so that it costs under a second when nothing is.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
purpose=${1:-demo}

# need COMMAND PACKAGE…: the command is there, or Debian's packages bring it.
missing=""
need() {
    command -v "$1" >/dev/null 2>&1 && return
    command=$1
    shift
    command -v apt-get >/dev/null 2>&1 ||
        fail "'$command' is missing and there is no apt-get here" "install it by your system's means (Debian: $*)"
    missing="$missing $*"
}

install_missing() {
    # Two commands may come from one package.
    # shellcheck disable=SC2046,SC2086  # a list of packages
    [ -z "$missing" ] || debian_install $(printf '%s\n' $missing | sort -u)
    missing=""
}

check_rust() {
    command -v cargo >/dev/null 2>&1 ||
        fail "Rust is missing" "install it with rustup: https://rustup.rs"
    lowest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$lowest" "$found" | sort -V | head -n 1)" = "$lowest" ] ||
        fail "Rust $found is too old, $lowest or newer is needed" "rustup update stable"
}

check_node() {
    command -v node >/dev/null 2>&1 ||
        fail "Node.js is missing" "install Node.js $NODE_MAJOR or newer: https://nodejs.org"
    found=$(node --version)
    major=${found#v}
    [ "${major%%.*}" -ge "$NODE_MAJOR" ] ||
        fail "Node.js $found is too old" "install Node.js $NODE_MAJOR or newer: https://nodejs.org"
    [ "$purpose" != test ] || command -v npm >/dev/null 2>&1 ||
        fail "npm is missing" "it comes with Node.js $NODE_MAJOR or newer: https://nodejs.org"
}

rustup_has_wasm() { rustup target list --installed 2>/dev/null | grep -qx "$WASM_TARGET"; }

debian_way() {
    need wasm-ld-"$DEBIAN_LLVM" $DEBIAN_RUST
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -x /usr/bin/clippy-driver ] || missing="$missing $DEBIAN_RUST"
    install_missing
    tools/wasm-std-debian.sh
    echo debian >"$HITL_CACHE/wasm-way"
}

# The ordinary way first, Debian's where rustup's host cannot be reached. HITL_WASM=rustup|debian decides.
wasm_compiler() {
    # A machine that took Debian's way stays on it: its cache is warm, and no time-out is waited for again.
    case "$(wasm_way)" in
    debian)
        debian_way
        return
        ;;
    "" | rustup) ;;
    *) fail "HITL_WASM=$(wasm_way) is unknown" "HITL_WASM=rustup or HITL_WASM=debian" ;;
    esac
    if command -v rustup >/dev/null 2>&1; then
        if rustup_has_wasm; then
            echo rustup >"$HITL_CACHE/wasm-way"
            return
        fi
        say "rustup target add $WASM_TARGET"
        if RUSTUP_MAX_RETRIES=1 timeout 120 rustup target add "$WASM_TARGET" >"$HITL_CACHE/log/rustup.log" 2>&1 && rustup_has_wasm; then
            echo rustup >"$HITL_CACHE/wasm-way"
            return
        fi
        say "rustup's host cannot be reached (log: $HITL_CACHE/log/rustup.log)"
    fi
    [ "${HITL_WASM:-}" != rustup ] ||
        fail "the target $WASM_TARGET is missing" "rustup target add $WASM_TARGET" "or HITL_WASM=debian"
    command -v apt-get >/dev/null 2>&1 ||
        fail "the target $WASM_TARGET is missing" "rustup target add $WASM_TARGET"
    say "taking Debian's compiler for the Wasm"
    debian_way
}

# tool CRATE PROGRAM VERSION ARGS…: a command-line tool from crates.io. Not optimised: it runs for
# seconds, its optimising would take minutes.
tool() {
    crate=$1 program=$2 version=$3
    shift 3
    case "$("$TOOLS/bin/$program" --version 2>/dev/null)" in *" $version"*) return ;; esac
    say "installing $crate $version from crates.io (two to five minutes, once)"
    log="$HITL_CACHE/log/$crate.log"
    CARGO_TARGET_DIR="$HITL_CACHE/tools-build" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install "$crate" --version "$version" --root "$TOOLS" --force "$@" >"$log" 2>&1 ||
        fail "$crate $version did not install: $(grep -m 1 '^error' "$log" || tail -n 1 "$log")" \
            "is crates.io reachable? The log: $log"
}

rust_component() {
    "$2" --version >/dev/null 2>&1 && return
    say "rustup component add $1"
    timeout 120 rustup component add "$1" >"$HITL_CACHE/log/rustup.log" 2>&1 ||
        fail "'$1' is missing" "rustup component add $1"
}

mkdir -p "$TOOLS/bin" "$HITL_CACHE/log"
check_rust
check_node
need cc $DEBIAN_NATIVE
# The whole of it: the minimal one has no http.server.
python3 -c 'import http.server' 2>/dev/null || missing="$missing python3"
if [ "$purpose" = test ]; then
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    # The collector's documents speak in curl; a test of connections makes a certificate.
    need curl curl
    need openssl openssl
    need chromium $DEBIAN_BROWSER
    need chromedriver $DEBIAN_BROWSER
    # The collector's tests start a server of their own from it, on a free port and in a temporary folder.
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing $DEBIAN_POSTGRES"
fi
install_missing
wasm_compiler
bindgen=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"/\1/p;}' Cargo.lock)
tool wasm-bindgen-cli wasm-bindgen "$bindgen"
tool trunk trunk "$TRUNK_VERSION" --locked --no-default-features --features rustls
rm -rf "$HITL_CACHE/tools-build"
if [ "$purpose" = test ]; then
    rust_component rustfmt rustfmt
    rust_component clippy cargo-clippy
    # playwright-core drives the browser.
    npm_into tests/e2e --ignore-scripts
    # onnxruntime, a second engine to hold improved models to.
    python_into tests/fixtures/check_export.txt "$HITL_CACHE/python/current"
fi
