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

digest() { sha256sum "$1" | cut -c1-16; }

# Into the cache under the lock's digest; a link beside the tests is where Node looks.
npm_servers() {
    local lock=tests/backends/package-lock.json to
    to="$place/npm-$(digest $lock)"
    if [ ! -f "$to/.complete" ]; then
        say "servers from npm"
        rm -rf "$to"
        mkdir -p "$to"
        cp tests/backends/package.json $lock "$to/"
        npm ci --prefix "$to" --no-audit --no-fund || return
        touch "$to/.complete"
    fi
    ln -sfn "$to/node_modules" tests/backends/node_modules
}

# python_servers LIST: a virtual environment of its own.
python_servers() {
    local list=tests/backends/$1.txt to
    to="$place/$1-$(digest "$list")"
    if [ ! -f "$to/.complete" ]; then
        say "$1 from PyPI (some minutes, once)"
        rm -rf "$to"
        python3 -m venv "$to" && "$to/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$list" || return
        touch "$to/.complete"
    fi
    ln -sfn "$to" "$place/$1"
}

# Debian's package would start a server of the system; policy-rc.d is how Debian is told not to.
rabbitmq() {
    command -v rabbitmq-server >/dev/null 2>&1 && return
    say "rabbitmq-server from Debian"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod +x /usr/sbin/policy-rc.d
        trap 'as_root rm -f /usr/sbin/policy-rc.d' RETURN
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$DEBIAN_RABBITMQ"
}

# Which installation a server needs; those of the project's own need none.
needs() {
    case "$1" in
    label-studio) echo python_servers label-studio ;;
    datasette | s3) echo python_servers datasette-moto ;;
    cloudevents | json-server | pouchdb | standard-webhooks) echo npm_servers ;;
    rabbitmq) echo rabbitmq ;;
    *) echo true ;;
    esac
}

passed=0
failed=0
[ $# -gt 0 ] || set -- $(basename -s .test.mjs tests/backends/*.test.mjs)
for server in "$@"; do
    printf '\n== %s\n' "$server"
    log="$HITL_CACHE/log/backend-$server.log"
    # shellcheck disable=SC2046  # a command and its arguments
    if ! $(needs "$server") >"$log" 2>&1; then
        printf -- '-- %s cannot be installed: %s (the log: %s)\n' "$server" "$(tail -n 1 "$log")" "$log"
        failed=$((failed + 1))
        continue
    fi
    began=$SECONDS
    BACKENDS="$place" node --test --test-reporter=tap "tests/backends/$server.test.mjs" </dev/null 2>&1 | tee "$log"
    read -r good bad < <(awk '/^# (pass|fail|cancelled) [0-9]+$/ { if ($2 == "pass") good += $3; else bad += $3 }
        END { print good + 0, bad + 0 }' "$log")
    [ "$good$bad" != 00 ] || bad=1
    passed=$((passed + good))
    failed=$((failed + bad))
    printf -- '-- %s: %s passed, %s failed (%s s)\n' "$server" "$good" "$bad" $((SECONDS - began))
done

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
