#!/bin/sh
# Builds dist/: the demo page and the npm package in one.
#
# Cargo goes by the times of files, and all of a fresh clone are new. So the release is built in a copy of the
# checkout that stays, where only what differs becomes new: a Worker that no change concerns is not linked again.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
use_web "$RELEASE_DIR"
copy="$HITL_CACHE/release-source"
mkdir -p "$copy"
# Two checkouts that build at once would get each other's sources.
exec 9>"$copy.lock"
flock -n 9 || {
    say "another build of dist/ is under way; this one follows"
    flock 9
}

# The cache may lie in the checkout.
files() { find . -path "./${HITL_CACHE#"$ROOT/"}" -prune -o \( -path ./dist -o -path ./dist.new -o -path ./dist.old -o -path ./.git -o -path ./target -o -name node_modules \) -prune -o -type f -print; }
files | while IFS= read -r file; do
    cmp -s "$file" "$copy/$file" && continue
    mkdir -p "$copy/$(dirname "$file")"
    cp -p "$file" "$copy/$file"
    touch "$copy/$file"
done
(cd "$copy" && files) | while IFS= read -r file; do
    [ -e "$file" ] || rm "$copy/$file"
done

say "building dist/ (compiler: $(rustc --version | cut -d' ' -f2), $(wasm_way); the first time takes many minutes)"
cd "$copy"
# Offline is about Trunk's own downloads; the crates come with a fetch before it, those of build scripts and macros too.
cargo fetch --quiet --locked --target "$WASM_TARGET" --target host-tuple 9>&-
HITL_ROOT=$copy TRUNK_SKIP_VERSION_CHECK=true NO_COLOR=true trunk --log warn build --release --offline --locked 9>&-
# Whoever serves dist/ meanwhile is to find it whole.
rm -rf "$ROOT/dist.new"
cp -R dist "$ROOT/dist.new"
rm -rf "$ROOT/dist.old"
if [ -e "$ROOT/dist" ]; then mv "$ROOT/dist" "$ROOT/dist.old"; fi
mv "$ROOT/dist.new" "$ROOT/dist"
rm -rf "$ROOT/dist.old"
