#!/bin/sh
# A PostgreSQL server for tests: in a folder of its own, reached by a socket in that folder, gone without a trace.
#
#   postgres.sh where               prints the folder of PostgreSQL's programs
#   postgres.sh init FOLDER         makes a cluster in FOLDER/data
#   postgres.sh run FOLDER [-c N=V…] becomes the server over it, with these settings
#   postgres.sh sweep FOLDER        frees the shared memory of a server that was killed
#   postgres.sh keep FOLDER PID     makes and runs one until the process PID has ended, then removes FOLDER. FOLDER/url
#                                   is there once it listens. It syncs as in production, since the product asks, but to
#                                   memory where there is a file system in memory: nobody kills this one.
#
# PostgreSQL refuses to run as root: for root it runs as the user `postgres`, or `nobody` where there is none.
set -eu
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
unset PGHOST PGPORT PGUSER PGDATABASE PGDATA PGOPTIONS PGPASSWORD PGSERVICE
cd /

where() {
  if command -v initdb >/dev/null && command -v postgres >/dev/null; then
    dirname "$(command -v initdb)"
    return
  fi
  # Debian, Red Hat, Homebrew: not on the PATH, and the newest counts.
  newest=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin 2>/dev/null | sort -V | tail -n 1)
  if [ -n "$newest" ] && [ -x "$newest/initdb" ] && [ -x "$newest/postgres" ]; then
    echo "$newest"
    return
  fi
  echo "these tests need a real PostgreSQL, and initdb and postgres are neither on the PATH nor in /usr/lib/postgresql." \
    "On Debian, as root: apt-get install postgresql" >&2
  exit 1
}

# Becomes its arguments, as somebody PostgreSQL accepts.
become() {
  if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
  fi
  exec "$@"
}

init() {
  [ "$(id -u)" != 0 ] || chown "$user" "$folder"
  # What it says on success is of no use to anybody.
  (become "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync \
    >"$folder/init.log" 2>&1) || {
    cat "$folder/init.log" >&2
    exit 1
  }
}

run() {
  become "$bin/postgres" -D "$folder/data" -c listen_addresses= -c unix_socket_directories="$folder" -c port=5432 \
    -c max_connections=300 -c dynamic_shared_memory_type=mmap "$@"
}

ended() {
  [ -z "${server:-}" ] || { kill -INT "$server" 2>/dev/null && wait "$server" || true; }
  [ -z "${memory:-}" ] || rm -rf "$memory"
  [ ! -e "$folder/url" ] || rm -rf "$folder"
}

# A process that has ended and that nobody has asked about can still be signalled: it does not run.
runs() {
  kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

keep() {
  trap ended EXIT
  trap 'exit 143' TERM INT HUP
  if [ -w /dev/shm ]; then
    memory=$(mktemp -d /dev/shm/tollgate-pg.XXXXXX)
    [ "$(id -u)" != 0 ] || chown "$user" "$memory"
    ln -s "$memory" "$folder/data"
  fi
  init
  sh "$self" run "$folder" >"$folder/log" 2>&1 </dev/null &
  server=$!
  until [ "$(sed -n '8s/ *$//p' "$folder/data/postmaster.pid" 2>/dev/null)" = ready ]; do
    if ! runs "$server"; then
      cat "$folder/log" >&2
      exit 1
    fi
    sleep 0.05
  done
  echo "postgresql:///postgres?host=$folder&user=postgres" >"$folder/url.new"
  mv "$folder/url.new" "$folder/url"
  while runs "$1" && runs "$server"; do sleep 0.2; done
}

verb=${1:?what to do}
user=postgres
id "$user" >/dev/null 2>&1 || user=nobody
if [ "$verb" = where ]; then
  where
  exit
fi
bin=$(where)
folder=${2:?a folder}
shift 2
case $verb in
  init) init ;;
  run) run "$@" ;;
  keep) keep "$@" ;;
  sweep)
    segment=$(sed -n '7s/.* //p' "$folder/data/postmaster.pid" 2>/dev/null || true)
    [ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null || true
    ;;
  *)
    echo "postgres.sh: unknown verb $verb" >&2
    exit 2
    ;;
esac
