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
    [ -n "$missing" ] || return 0
    say "installing from Debian:$missing"
    log="$HITL_CACHE/log/apt.log"
    # The list first as it is: fetching a new one takes longer than most packages.
    # shellcheck disable=SC2086  # a list of packages
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1; then
        as_root apt-get update >"$log" 2>&1 ||
            fail "apt-get update failed: $(tail -n 1 "$log")" "is Debian's mirror reachable? The log: $log"
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 ||
            fail "apt-get install$missing failed: $(tail -n 1 "$log")" "the log: $log"
    fi
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

# playwright-core drives the browser. It lies in the cache under the lock file's digest.
browser_driver() {
    digest=$(sha256sum tests/e2e/package-lock.json | cut -c1-16)
    place="$HITL_CACHE/e2e/$digest"
    if [ ! -d "$place/node_modules/playwright-core" ]; then
        say "npm ci for the end-to-end tests"
        mkdir -p "$place"
        cp tests/e2e/package.json tests/e2e/package-lock.json "$place/"
        npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund >"$HITL_CACHE/log/npm.log" 2>&1 ||
            fail "npm ci failed" "is the npm registry reachable? The log: $HITL_CACHE/log/npm.log"
    fi
    [ -L tests/e2e/node_modules ] || rm -rf tests/e2e/node_modules
    ln -sfn "$place/node_modules" tests/e2e/node_modules
}

# A second engine to hold improved models to. It lies in the cache under the digest of its list.
other_engine() {
    list=tests/fixtures/check_export.txt
    place="$HITL_CACHE/python/$(sha256sum "$list" | cut -c1-16)"
    if [ ! -f "$place/.complete" ]; then
        say "onnxruntime for the end-to-end tests, from PyPI"
        rm -rf "$place"
        if ! { python3 -m venv "$place" && "$place/bin/pip" install --quiet --disable-pip-version-check -r "$list" &&
            touch "$place/.complete"; } >"$HITL_CACHE/log/pip.log" 2>&1; then
            fail "onnxruntime did not install: $(tail -n 1 "$HITL_CACHE/log/pip.log")" \
                "is PyPI reachable? The log: $HITL_CACHE/log/pip.log"
        fi
    fi
    ln -sfn "$place" "$HITL_CACHE/python/current"
}

mkdir -p "$TOOLS/bin" "$HITL_CACHE/log"
check_rust
check_node
need cc $DEBIAN_NATIVE
need python3 python3-minimal
if [ "$purpose" = test ]; then
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
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
    browser_driver
    other_engine
fi
