"""Blob stores: bytes under their SHA-256."""

from __future__ import annotations

from pathlib import Path

from precinto.adapters.blobs.local import LocalBlobStore
from precinto.adapters.blobs.objects import ObjectBlobStore
from precinto.ports import BlobStore


def blob_store(place: str) -> BlobStore:
    """The blob store at a place: a folder, or a bucket (``s3://bucket/prefix``).

    Raises:
        BadInput: The bucket's URL, or a variable of its client, is wrong.
    """
    return ObjectBlobStore(place) if "://" in place else LocalBlobStore(Path(place))
