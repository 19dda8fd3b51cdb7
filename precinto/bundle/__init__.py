"""The sealed bundle as it is handed over, and the verifier that anyone can run without us, offline.

``docs/reference/bundle.md`` describes the format. Nothing in here talks to a network, a database or the engine, and
what is trusted is never taken from the bundle: the certificates come from whoever checks.
"""
