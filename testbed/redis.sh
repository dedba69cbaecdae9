#!/bin/sh
# A Redis server for tests: on a port of the loopback address, nothing on a disk, gone with whoever started it.
#
#   redis.sh where       prints the server's program
#   redis.sh run PORT    runs it until its standard input ends, then kills it as a power cut would
set -eu

where() {
  command -v redis-server || command -v valkey-server || {
    echo "these tests need a real Redis, and neither redis-server nor valkey-server is on the PATH." \
      "On Debian, as root: apt-get install redis-server" >&2
    exit 1
  }
}

case ${1:?what to do} in
  where) where ;;
  run)
    program=$(where)
    "$program" --bind 127.0.0.1 --port "${2:?a port}" --save '' --appendonly no --daemonize no </dev/null >&2 &
    server=$!
    trap 'kill -KILL "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
    # Ends when the pipe does, however its owner went.
    while read -r _; do :; done
    ;;
  *)
    echo "redis.sh: unknown verb $1" >&2
    exit 2
    ;;
esac
