#!/bin/sh
# Runs once, when PostgreSQL makes its data folder: Temporal and Precinto each get a role and databases of their own.
set -eu
secrets="${SECRETS:-/run/secrets}"
psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --set ON_ERROR_STOP=1 \
    --set temporal="$(cat "$secrets/temporal_db_password")" \
    --set precinto="$(cat "$secrets/precinto_db_password")" <<'SQL'
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE ROLE precinto LOGIN PASSWORD :'precinto';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE precinto OWNER precinto;
REVOKE CONNECT ON DATABASE temporal, temporal_visibility, precinto FROM PUBLIC;
SQL
