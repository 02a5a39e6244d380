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
    build_collector
    # workbox-background-sync for the comparison, and a WebSocket client for Firefox.
    npm_into tests/fault --ignore-scripts
    # Firefox has its part in the storm only.
    case " $* " in
    *" browser=chromium "* | *" firefox_seeds=0 "*) ;;
    *)
        if ! command -v "${FIREFOX:-firefox-esr}" >/dev/null 2>&1; then
            command -v apt-get >/dev/null 2>&1 ||
                fail "Firefox ESR is missing and there is no apt-get here" "install it, or leave it out: firefox_seeds=0"
            debian_install firefox-esr
        fi
        ;;
    esac
} >&2
exec node tests/fault/fault.mjs "$@"
