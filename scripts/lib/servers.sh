# shellcheck shell=bash
# The S3 and KMS servers that the tests run against. Sourced after report.sh and versions.sh.
#
# Servers listen on loopback only, keep everything under the directory they are given, and are
# stopped by the process ids that were noted when they were started.

SERVER_PIDS=()
MINIO_ACCESS_KEY=minioadmin
MINIO_SECRET_KEY=minioadmin
# MinIO's one KMS key, `my-key`: 32 zero bytes, for tests only.
MINIO_KMS_KEY=my-key:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

# A loopback port that is free now. Another process may take it before the server does: the
# start functions try again with another one.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# make_certificate DIRECTORY [OPENSSL OPTIONS]: private.key, public.crt (self-signed, for 127.0.0.1
# and localhost) and both in cert-and-key.pem. As openssl makes it by default it is marked as a CA.
make_certificate() {
    local dir=$1
    shift
    mkdir -p "$dir"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost \
        -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' "$@" \
        -keyout "$dir/private.key" -out "$dir/public.crt" 2>"$dir/openssl.log" ||
        die "openssl could not make a certificate: $(cat "$dir/openssl.log")"
    cat "$dir/public.crt" "$dir/private.key" >"$dir/cert-and-key.pem"
}

# answers URL CA PID SECONDS: waits until URL answers 200. Fails at once when PID is gone.
answers() {
    python3 - "$@" <<'PYTHON'
import os, ssl, sys, time, urllib.request

url, ca, pid, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
context = ssl.create_default_context(cafile=ca) if url.startswith("https") else None
handlers = [urllib.request.ProxyHandler({})]
if context:
    handlers.append(urllib.request.HTTPSHandler(context=context))
opener = urllib.request.build_opener(*handlers)
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    with open(f"/proc/{pid}/stat") if os.path.exists(f"/proc/{pid}/stat") else open(os.devnull) as stat:
        if stat.read().rpartition(")")[2].split()[:1] in ([], ["Z"]):
            sys.exit(1)
    try:
        if opener.open(url, timeout=2).status == 200:
            sys.exit(0)
    except OSError:
        pass
    time.sleep(0.1)
sys.exit(1)
PYTHON
}

# start_minio DIRECTORY CERTIFICATES: sets MINIO_ENDPOINT and MINIO_PID.
start_minio() {
    local dir=$1 certs=$2 port attempt
    for attempt in 1 2 3; do
        port=$(free_port)
        mkdir -p "$dir/data"
        env MINIO_ROOT_USER="$MINIO_ACCESS_KEY" MINIO_ROOT_PASSWORD="$MINIO_SECRET_KEY" \
            MINIO_BROWSER=off MINIO_UPDATE=off MINIO_KMS_SECRET_KEY="$MINIO_KMS_KEY" \
            "$TOOLS/bin/minio" server --quiet --address "127.0.0.1:$port" \
            --certs-dir "$certs" "$dir/data" </dev/null >"$dir/minio.log" 2>&1 &
        MINIO_PID=$!
        SERVER_PIDS+=("$MINIO_PID")
        MINIO_ENDPOINT=https://127.0.0.1:$port
        if answers "$MINIO_ENDPOINT/minio/health/ready" "$certs/public.crt" "$MINIO_PID" 60; then
            return 0
        fi
        say "MinIO did not come up on port $port (attempt $attempt of 3)"
        tail -n 5 "$dir/minio.log" >&2
        end_process "$MINIO_PID"
    done
    die "MinIO could not be started"
}

# start_localstack DIRECTORY CERTIFICATES: sets LOCALSTACK_ENDPOINT and LOCALSTACK_PID. http and
# https share the port.
start_localstack() {
    local dir=$1 certs=$2 port attempt
    for attempt in 1 2 3; do
        port=$(free_port)
        mkdir -p "$dir/files" "$dir/home"
        # hypercorn keeps it on loopback; without key validation it would accept any key.
        (cd "$dir" && exec env HOME="$dir/home" SERVICES=s3,kms \
            GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port" \
            GATEWAY_SERVER=hypercorn OVERRIDE_IN_DOCKER=false FILESYSTEM_ROOT="$dir/files" \
            CUSTOM_SSL_CERT_PATH="$certs/cert-and-key.pem" SKIP_SSL_CERT_DOWNLOAD=1 \
            DISABLE_EVENTS=1 DNS_ADDRESS=0 EAGER_SERVICE_LOADING=1 STRICT_SERVICE_LOADING=1 \
            S3_SKIP_KMS_KEY_VALIDATION=0 \
            "$TOOLS/localstack/bin/python" -m localstack.runtime.main \
            </dev/null >"$dir/localstack.log" 2>&1) &
        LOCALSTACK_PID=$!
        SERVER_PIDS+=("$LOCALSTACK_PID")
        LOCALSTACK_ENDPOINT=http://127.0.0.1:$port
        if answers "$LOCALSTACK_ENDPOINT/_localstack/health" "$certs/public.crt" \
            "$LOCALSTACK_PID" 120; then
            return 0
        fi
        say "LocalStack did not come up on port $port (attempt $attempt of 3)"
        tail -n 5 "$dir/localstack.log" >&2
        end_process "$LOCALSTACK_PID"
    done
    die "LocalStack could not be started"
}

# end_process PID: at once, for servers whose data is thrown away (LocalStack takes more than 10 s
# to end when asked). PID is a child of this shell.
end_process() {
    {
        kill -KILL "$1"
        wait "$1"
    } 2>/dev/null || true
}

stop_servers() {
    local pid
    for pid in "${SERVER_PIDS[@]}"; do
        end_process "$pid"
    done
    SERVER_PIDS=()
}
