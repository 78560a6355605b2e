#!/usr/bin/env bash
# Scans a relay on loopback with sslyze, somebody else's tool: run.sh PYTHON [SPOOLWAY_RELAY]
#
# PYTHON is one that has sslyze. Once with the certificates that `spoolway-relay certs init` makes, and once for each kind of key that a
# server may have. It fails on any finding; nothing is left behind.
set -euo pipefail
exec </dev/null
cd "$(dirname "$0")"

python=$1
relay=${2:-${CARGO_TARGET_DIR:-../../target}/release/spoolway-relay}
folder=$(mktemp -d)
process=
trap '[ -z "$process" ] || kill "$process" 2>/dev/null || true; rm -rf "$folder"' EXIT

# On a free port, which it writes into its log.
start() {
    : >"$1/log"
    "$relay" --folder "$1" run --set listen.address=127.0.0.1:0 --set admin.address= --set log.format=json \
        --set limits.address_failures_per_minute=0 2>"$1/log" &
    process=$!
    for _ in $(seq 300); do
        port=$(sed -n 's/.*"public":"127\.0\.0\.1:\([0-9]*\)".*/\1/p' "$1/log" | head -n 1)
        [ -z "$port" ] || return 0
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    cat "$1/log" >&2
    return 1
}

failed=0
for kind in certs-init rsa-4096 ecdsa-p256 ecdsa-p384 ed25519; do
    state=$folder/$kind
    mkdir -p "$state"
    if [ "$kind" = certs-init ]; then
        "$relay" --folder "$state" certs init --host localhost >/dev/null
    else
        "$python" certificate.py "$kind" "$state/tls"
    fi
    start "$state"
    echo "-- $kind"
    # Its list of public authorities has one that this version of Python's library frowns at.
    PYTHONWARNINGS=ignore "$python" scan.py "127.0.0.1:$port" "$state/tls/ca.pem" localhost || failed=$((failed + 1))
    kill "$process"
    wait "$process" || true
    process=
done
exit "$failed"
