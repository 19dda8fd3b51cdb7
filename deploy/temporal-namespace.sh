#!/bin/sh
# Makes the namespace TEMPORAL_NAMESPACE, with RETENTION for the history of closed cases; may run again.
set -eu
tries=0
until temporal operator cluster health; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || exit 1
    sleep 2
done
if temporal operator namespace describe "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
    temporal operator namespace update "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
    temporal operator namespace create "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
