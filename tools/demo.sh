#!/bin/sh
# Serves the demo and prints one URL. STATIC=1: from a plain file server that sends no special headers,
# where the answers stay in the browser. PORT: the port (default 8080, or the next free one).
set -eu
HITL_ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$HITL_ROOT/tools/env.sh"
cd "$ROOT"

# A port that was asked for is taken or refused; without one the first free from 8080 on.
port=$(python3 - "${PORT:-}" <<'PY'
import socket, sys

def free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True

wanted = sys.argv[1]
if wanted:
    if not wanted.isdigit() or not free(int(wanted)):
        sys.exit(1)
    print(wanted)
else:
    print(next(port for port in range(8080, 8180) if free(port)))
PY
) || fail "port ${PORT:-8080} is busy or not allowed" "choose another: make demo PORT=9000" "or leave PORT away"

if [ "${STATIC:-0}" != 0 ]; then
    log="$HITL_CACHE/log/static.log"
    python3 -m http.server "$port" --bind 127.0.0.1 --directory dist >"$log" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null' EXIT
    trap exit INT TERM
    # The URL is printed once it answers.
    python3 - "$port" <<'PY' || fail "the file server did not start: $(tail -n 1 "$log")" "the log: $log"
import socket, sys, time

for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.05)
sys.exit(1)
PY
    say "a plain file server, no special headers; stop with Ctrl-C"
    printf 'http://localhost:%s/\n' "$port"
    wait "$server"
    exit
fi

build_collector
data="${DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/hitl-labeler/demo}"
mkdir -p "$data"
say "records: $data (DATA=… for another place); stop with Ctrl-C"
exec "$COLLECTOR" --dir dist --data "$data" --port "$port"
