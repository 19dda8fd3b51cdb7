#!/bin/sh
# Brings Temporal's two databases to the schema of the image's version; may run again.
set -eu
schema="${SCHEMA:-/etc/temporal/schema/postgresql/v12}"
SQL_PASSWORD="$(cat "${SECRETS:-/run/secrets}/temporal_db_password")"
export SQL_PASSWORD
# `setup-schema` leaves a newer schema as it is; `update-schema` brings it to this version.
for part in temporal visibility; do
    database=temporal
    [ "$part" = temporal ] || database=temporal_visibility
    temporal-sql-tool --database "$database" setup-schema --version 0.0
    temporal-sql-tool --database "$database" update-schema --schema-dir "$schema/$part/versioned"
done
