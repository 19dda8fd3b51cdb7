"""Blob stores: bytes under their SHA-256."""
