#!/bin/sh
# The standard library for wasm32, from Debian's own packages: for machines that reach Debian and
# crates.io but not the host of rustup's components. rustc-web comes with its sources (rust-web-src), and
# those build with the compiler that they belong to; the result goes where that compiler looks for it.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"

sysroot=$(/usr/bin/rustc --print sysroot)
place="$sysroot/lib/rustlib/$WASM_TARGET/lib"
stamp="$place/.built-by"
compiler=$(/usr/bin/rustc -vV)

# cargo and its parts under their plain names, in front of rustup's: see use_web in env.sh.
mkdir -p "$TOOLS/debian"
for program in cargo rustc rustdoc cargo-clippy clippy-driver; do
    ln -sfn "/usr/bin/$program" "$TOOLS/debian/$program"
done
# rustc calls the linker of this target `rust-lld`; Debian has the same program under LLVM's name.
ln -sfn "/usr/lib/llvm-$DEBIAN_LLVM/bin/wasm-ld" "$TOOLS/debian/rust-lld"

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$compiler" ]; then exit 0; fi

say "building the wasm32 standard library with Debian's rustc (about one minute)"
work="$HITL_CACHE/wasm-std"
rm -rf "$work"
mkdir -p "$work/src"
: >"$work/src/lib.rs"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "empty"
version = "0.0.0"
edition = "2024"

[workspace]
TOML
# The bitcode is what fat link-time optimisation reads. The bootstrap switch allows -Zbuild-std.
(
    cd "$work"
    unset RUSTC RUSTDOC RUSTC_WRAPPER CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS
    PATH="$TOOLS/debian:/usr/bin:/bin" RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes \
        CARGO_TARGET_DIR="$work/target" cargo build --quiet --release --target "$WASM_TARGET" \
        -Zbuild-std=std,panic_abort,test
) || fail "the wasm32 standard library did not build" \
    "see the message above; this step needs crates.io, for the library's own dependencies" \
    "or install the target the ordinary way: rustup target add $WASM_TARGET"

rm "$work/target/$WASM_TARGET/release/deps"/libempty-*
as_root mkdir -p "$place"
as_root find "$place" -name '*.rlib' -delete
as_root cp "$work/target/$WASM_TARGET/release/deps"/*.rlib "$place/"
printf '%s\n' "$compiler" | as_root tee "$stamp" >/dev/null
rm -rf "$work"
