"""Benchmarks: what a case costs, always beside a twin or a peer in the same run.

Times on a shared machine say little alone, so every figure here is also a ratio: to a *twin*, a bare-SDK workflow
with the very same events and no work in its activities, and to the *naive* shape that people write first. Rounds
are interleaved, and medians are printed with their spread. Nothing here is a test: no figure fails a build.
"""
