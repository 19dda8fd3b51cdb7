"""Sealers: who signs for the authority."""
