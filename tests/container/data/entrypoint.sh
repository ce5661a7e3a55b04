#!/bin/sh
# Prepares the folder of a PostgreSQL at its first start, as the public image does. Everything else is started as it is.
set -eu
if [ "$(id -u)" = 0 ]; then
    # What is mounted over it belongs to root.
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    # unquoted: there may be several
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --set listen_addresses='*' ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # By no server that could be met: who waits for PostgreSQL must find it whole.
    printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" | postgres --single postgres
fi
exec "$@"
