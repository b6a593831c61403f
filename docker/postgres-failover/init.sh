#!/bin/sh
# Run once by the image, when a new database is made: lets the other server copy and follow it, and
# Backstop look at it. Everybody on this network is trusted, which only a demo may do: elsewhere
# give each of them a password.
set -e
echo 'host replication all all trust' >>"$PGDATA/pg_hba.conf"
psql --username postgres --command 'CREATE ROLE backstop LOGIN'
