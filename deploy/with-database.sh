#!/bin/sh
# Runs a command with the address of the database: DATABASE is the address without the password, which is in a file.
set -eu
if [ -n "${DATABASE_PASSWORD_FILE:-}" ]; then
    PRECINTO_DATABASE_URL="${DATABASE%%@*}:$(cat "$DATABASE_PASSWORD_FILE")@${DATABASE#*@}"
    export PRECINTO_DATABASE_URL
fi
exec "$@"
