"""Whether a chain of custody, itself whole, tells of this bundle: its attempt, its seal, its stamps, its export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

from precinto.domain.custody import Act, CustodyRecord
from precinto.domain.evidence import Manifest


def untold(
    records: Sequence[CustodyRecord], manifest: Manifest, tokens: Mapping[str, str], skew: timedelta
) -> Iterator[str]:
    """What a chain should tell of a bundle and does not, or tells otherwise.

    Args:
        records: The chain, at least one record.
        manifest: The bundle's manifest.
        tokens: Name of each time-stamp authority to the digest of its token.
        skew: How much two clocks may differ.
    """
    bundle = manifest.bundle_digest()
    if records[0].case != manifest.case:
        yield f"it is of another case: {records[0].case}"
    for before, after in pairwise(records):
        if after.at < before.at - skew:
            yield f"record {after.seq} is earlier than the one before it"
    own = [record for record in records if record.attempt == manifest.attempt]
    begun = [record.at for record in own if record.act is Act.ATTEMPT_BEGUN]
    if len(begun) != 1 or begun[0] > manifest.started_at + skew:
        yield "it does not tell of the beginning of this attempt, once and before the capture"
    sealed = [record for record in own if record.act is Act.SEALED]
    if [record.subject for record in sealed] != [bundle]:
        yield "it does not tell of the seal of this bundle, once"
    elif sealed[0].at < manifest.finished_at - skew:
        yield "it tells of a seal before the capture's end"
    stamped = {record.subject for record in own if record.act is Act.STAMPED}
    for authority, token in tokens.items():
        if token not in stamped:
            yield f"it does not tell of the time stamp of {authority}"
    last = records[-1]
    if (last.act, last.attempt, last.subject) != (Act.EXPORTED, manifest.attempt, bundle):
        yield "its last record is not the export of this bundle"
