"""The wire record: every byte that a capture exchanged with the world, and what it says when it is decoded.

A capture's connections are kept in one file, ``wire.pcapng``, with the session keys that the browser gave out. Any
tool that reads pcapng opens it without us; ``decode`` reads from it what was asked and answered, byte for byte.
"""
