#!/bin/bash
# Presets against real servers, each started on loopback from its registry's package; last line `N passed, N failed`.
# Names of servers as arguments run only those: tools/test-backends.sh datasette rabbitmq
# A server that cannot be installed is a failure, not a gap.
set -uo pipefail
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"
place="$HITL_CACHE/backends"
mkdir -p "$place" "$HITL_CACHE/log"

# Debian's package would start a server of the system; policy-rc.d is how Debian is told not to.
rabbitmq() {
    command -v rabbitmq-server >/dev/null 2>&1 && return
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod +x /usr/sbin/policy-rc.d
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    debian_install "$DEBIAN_RABBITMQ"
}

# What a server needs on this machine; those of the project's own need nothing.
install() {
    case "$1" in
    label-studio) python_into tests/backends/label-studio.txt "$place/label-studio" --no-deps ;;
    datasette | s3) python_into tests/backends/datasette-moto.txt "$place/datasette-moto" --no-deps ;;
    cloudevents | json-server | pouchdb | standard-webhooks) npm_into tests/backends ;;
    rabbitmq) rabbitmq ;;
    esac
}

passed=0
failed=0
[ $# -gt 0 ] || set -- $(basename -s .test.mjs tests/backends/*.test.mjs)
for server in "$@"; do
    printf '\n== %s\n' "$server"
    log="$HITL_CACHE/log/backend-$server.log"
    # A shell of its own, as what fails there ends it; COLLECTOR is to stay.
    if [ "$server" = collector ]; then build_collector; else (install "$server"); fi >"$log" 2>&1 || {
        printf -- '-- %s cannot be installed: %s (the log: %s)\n' "$server" "$(sed -n 's/^error: //p' "$log" | tail -n 1)" "$log"
        failed=$((failed + 1))
        continue
    }
    began=$SECONDS
    BACKENDS="$place" node --test --test-reporter=tap "tests/backends/$server.test.mjs" </dev/null 2>&1 | tee "$log"
    status=$?
    read -r good bad < <(count_tests "$log")
    if [ "$good$bad" = 00 ] || { [ "$bad" = 0 ] && [ $status != 0 ]; }; then bad=1; fi
    passed=$((passed + good))
    failed=$((failed + bad))
    printf -- '-- %s: %s passed, %s failed (%s s)\n' "$server" "$good" "$bad" $((SECONDS - began))
done

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
