"""A hash tree (RFC 6962, 2.1): one root stands for many leaves, and a short path proves that one is among them.

So one row of the ledger can be shown to have been there at a moment, and no other row need be shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


class TreeHead:
    """The root of a tree whose leaves come one after another; keeps one hash for each bit of their number."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        size, top = 1, _leaf(leaf)
        while self._peaks and self._peaks[-1][0] == size:
            top = _node(self._peaks.pop()[1], top)
            size *= 2
        self._peaks.append((size, top))

    def root(self) -> str:
        """The root over all leaves so far, hexadecimal; SHA-256 of nothing, where there are none."""
        if not self._peaks:
            return hashlib.sha256().hexdigest()
        top = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            top = _node(left, top)
        return top.hex()


class Tree:
    """A whole tree, which gives paths; needs 64 bytes a leaf."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [[_leaf(leaf) for leaf in leaves]]
        while len(below := self._levels[-1]) > 1:
            above = [_node(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
            self._levels.append(above + below[len(above) * 2 :])  # one without a partner goes up as it is

    def path(self, index: int) -> list[str]:
        """The hashes that lead from a leaf, counted from 0, to the root; hexadecimal, from the leaf up."""
        path: list[str] = []
        for level in self._levels[:-1]:
            if (beside := index ^ 1) < len(level):
                path.append(level[beside].hex())
            index //= 2
        return path


def leads_to(root: str, leaf: bytes, index: int, size: int, path: Sequence[str]) -> bool:
    """Whether a path leads from a leaf to a root (RFC 9162, 2.1.3.2).

    Args:
        root: Of the tree, hexadecimal.
        leaf: What is said to be in it.
        index: Where, counted from 0.
        size: Number of leaves of the tree.
        path: As ``Tree.path`` gives it.

    Raises:
        ValueError: A part of the path is not hexadecimal.
    """
    if not 0 <= index < size:
        return False
    top, last = _leaf(leaf), size - 1
    for beside in map(bytes.fromhex, path):
        if last == 0:
            return False
        if index % 2 or index == last:
            top = _node(beside, top)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            top = _node(top, beside)
        index, last = index // 2, last // 2
    return last == 0 and top.hex() == root


def _leaf(content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + content).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
