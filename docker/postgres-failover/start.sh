#!/bin/sh
# Starts this server: as a standby of the other one if that is the primary, else as what it was.
#
# usage: start.sh OTHER [new]
#   OTHER  the other server's host name
#   new    make a new database if this server has none yet
#
# An old primary that comes back is so no second primary: ITS DATA IS THROWN AWAY and copied from
# the new one. It has to reach the other server for that.
set -eu
other=$1

is_primary() {
    [ "$(psql --host "$other" --username postgres --no-align --tuples-only \
        --command 'SELECT pg_is_in_recovery()')" = f ]
}

if [ -e "$PGDATA/standby.signal" ]; then
    echo "starts as the standby of $other that it was"
elif is_primary; then
    echo "$other is the primary: starts as its standby, with a copy of its data"
    find "$PGDATA" -mindepth 1 -delete
    pg_basebackup --pgdata "$PGDATA" --host "$other" --username postgres \
        --checkpoint fast --write-recovery-conf
elif [ -s "$PGDATA/PG_VERSION" ]; then
    echo "$other is not a primary: starts as the primary that it was"
elif [ "${2:-}" != new ]; then
    echo "has no data, and $other is no primary to copy it from"
    exit 1
fi
# The image's own, which starts the server as its user.
exec docker-entrypoint.sh postgres
