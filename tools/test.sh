#!/bin/bash
# Every check of the project; the last line is `N passed, N failed`.
# A stage counts its own tests; one that has none (format, clippy, sizes) counts as one.
# Names of stages as arguments run only those: tools/test.sh format native
set -uo pipefail
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
selected=" $* "
passed=0
failed=0
mkdir -p "$HITL_CACHE/log"

# stage NAME COMMAND…: runs it, shows it, adds up what it says it has tested.
stage() {
    local name=$1
    shift
    local group=${name%% *}
    [ "$selected" = "  " ] || [[ $selected == *" $group "* ]] || return 0
    local log="$HITL_CACHE/log/test-${name//[ ,\/]/-}.log" began=$SECONDS status good bad
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=$?
    read -r good bad < <(count_tests "$log")
    if [ "$good$bad" = 00 ] && [ $status = 0 ]; then good=1; fi
    if [ "$bad" = 0 ] && [ $status != 0 ]; then bad=1; fi
    passed=$((passed + good))
    failed=$((failed + bad))
    printf -- '-- %s: %s passed, %s failed (%s s)\n' "$name" "$good" "$bad" $((SECONDS - began))
}

native() { tools/cargo-native "$@"; }
web() { tools/cargo-web "$@"; }
clippy_native() { native clippy --locked --quiet --all-targets "$@" -- -D warnings; }
clippy_web() { web clippy --locked --quiet --target "$WASM_TARGET" --all-targets "$@" -- -D warnings; }

# The test targets: name, required features ("none", or with commas between) and file of each, a line.
test_targets() {
    cargo metadata --locked --no-deps --format-version 1 | node -e '
        const { packages } = JSON.parse(require("fs").readFileSync(0, "utf8"));
        for (const { kind, name, "required-features": needs = [], src_path } of packages[0].targets)
            if (kind.includes("test")) console.log(name, needs.join(",") || "none", src_path);'
}

# Browser tests are the test targets that use wasm_bindgen_test; their feature is the one that
# Cargo.toml requires for them. Prints "feature target" a line.
browser_tests() {
    local name features file
    test_targets | while read -r name features file; do
        if grep -q wasm_bindgen_test "$file"; then echo "$features $name"; fi
    done
}

# The test targets that need a feature, as arguments for cargo.
tests_of() {
    local name features file
    test_targets | while read -r name features file; do
        if [[ ,$features, == *",$1,"* ]]; then echo "--test $name"; fi
    done
}

# No --quiet: cargo would hand it on to the runner, which does not know it.
# In headless Chromium, driven by Debian's chromedriver with the flags of webdriver.json.
browser() {
    local features=$1
    shift
    CHROMEDRIVER=$(command -v chromedriver) WASM_BINDGEN_TEST_TIMEOUT=120 \
        tools/cargo-web test --locked --target "$WASM_TARGET" --features "$features" "$@" </dev/null
}

# The improved models that the native tests wrote, in onnxruntime.
onnxruntime() { "$HITL_CACHE/python/current/bin/python" tests/fixtures/check_export.py "$NATIVE_DIR"/tmp/export/*; }

# Linking dist/ keeps one core busy for minutes, so it goes on beside the stages before it, and is waited for here.
dist() {
    [ -n "$dist_job" ] || { tools/dist.sh; return; }
    tail --pid="$dist_job" -f /dev/null
    cat "$dist_log"
    return "$(cat "$dist_log.status" || echo 1)"
}

# COLLECTOR is the one of this source, not an older one that lies in the cache.
with_collector() {
    native build --locked --quiet --features collector --bin collector || return
    COLLECTOR="$NATIVE_DIR/debug/collector" "$@" </dev/null
}

# ONNX_PYTHON runs improved models in onnxruntime. Two files at a time: most of a test is waiting.
e2e() {
    ONNX_PYTHON="$HITL_CACHE/python/current/bin/python" with_collector node --test --test-concurrency=2 --test-reporter=tap tests/e2e/*.test.mjs
}

# The presets whose servers are small; the others take minutes to install: make test-backends.
backends() {
    with_collector tools/test-backends.sh cloudevents collector html-form json-server standard-webhooks
}

native_stages() {
    stage "clippy none" clippy_native
    stage "clippy infer" clippy_native --features infer
    stage "clippy eval" clippy_native --features eval
    stage "clippy collector" clippy_native --features collector
    stage "clippy infer,collector" clippy_native --features infer,collector
    # The tests of the pure layers are among them; that those compile without any feature clippy has shown.
    stage "native infer, eval" native test --locked --quiet --features eval
    stage "onnxruntime" onnxruntime
    local of_collector
    of_collector=$(tests_of collector) && [ -n "$of_collector" ] || stage "native collector" false
    # shellcheck disable=SC2086 # several arguments
    stage "native collector" native test --locked --quiet --features collector --lib $of_collector
}

web_stages() {
    local features name found
    stage "clippy page" clippy_web --features page
    stage "clippy worker" clippy_web --features worker
    # None found is no success.
    found=$(browser_tests) && [ -n "$found" ] || stage "browser" false
    # The page's own units want no browser: they run in Node.
    stage "page" browser page --lib
    while read -r features name; do
        [ -z "$name" ] || stage "browser $name" browser "${features#none}" --test "$name"
    done <<<"$found"
}

dist_job=
dist_log="$HITL_CACHE/log/dist.log"
web_log="$HITL_CACHE/log/web.log"
stage "format" cargo fmt --check
if [ "$selected" = "  " ]; then
    rm -f "$dist_log.status" "$web_log.counts"
    {
        tools/dist.sh >"$dist_log" 2>&1
        echo $? >"$dist_log.status"
    } &
    dist_job=$!
    # (What they print comes when those are through.)
    # Compiling one crate keeps one core busy: what is for the browser goes on beside what is not.
    (
        passed=0 failed=0
        web_stages
        echo "$passed $failed" >"$web_log.counts"
    ) >"$web_log" 2>&1 &
    web_job=$!
    native_stages
    tail --pid="$web_job" -f /dev/null
    cat "$web_log"
    # Without a count it has not come to its end.
    read -r good bad <"$web_log.counts" || { good=0 bad=1; }
    passed=$((passed + good)) failed=$((failed + bad))
else
    native_stages
    web_stages
fi
stage "dist" dist
stage "sizes" tools/sizes --held dist
stage "e2e" e2e
stage "backends" backends

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
