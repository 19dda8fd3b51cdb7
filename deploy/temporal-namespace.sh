#!/bin/sh
# Makes the namespace TEMPORAL_NAMESPACE, with RETENTION for the history of closed cases; may run again.
set -eu

# Temporal answers some seconds later than it listens, and so does a namespace that is new.
until_it_works() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || exit 1
        sleep 2
    done
}

until_it_works temporal operator cluster health
if ! temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
until_it_works temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
