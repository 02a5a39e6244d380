#!/bin/sh
# Builds dist/ and the collector and puts them through faults: JSON lines on stdout, everything else on stderr.
# Arguments: tests/fault/README.md.
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
{
    tools/setup.sh test
    tools/dist.sh
    say "building the collector"
    CARGO_TARGET_DIR="$NATIVE_DIR" cargo build --locked --quiet --profile collector-release --features collector --bin collector
    # What npm has installed is what the lock asks for, or it is installed anew.
    if ! cmp -s tests/fault/package-lock.json tests/fault/node_modules/.installed-lock.json; then
        say "installing workbox-background-sync for the comparison, and a WebSocket client for Firefox"
        npm ci --prefix tests/fault --ignore-scripts --no-audit --no-fund
        cp tests/fault/package-lock.json tests/fault/node_modules/.installed-lock.json
    fi
    # Firefox has its part in the storm only.
    case " $* " in
    *" browser=chromium "* | *" firefox_seeds=0 "*) ;;
    *)
        if ! command -v "${FIREFOX:-firefox-esr}" >/dev/null 2>&1; then
            command -v apt-get >/dev/null 2>&1 ||
                fail "Firefox ESR is missing and there is no apt-get here" "install it, or leave it out: firefox_seeds=0"
            say "installing firefox-esr from Debian"
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends firefox-esr
        fi
        ;;
    esac
} >&2
exec node tests/fault/fault.mjs "$@"
