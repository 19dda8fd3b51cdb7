"""The hash tree: as RFC 6962 says it, and a path that proves one leaf and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.merkle import Tree, TreeHead, leads_to

PUBLISHED = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
"""The leaves that Certificate Transparency's own tests use."""

ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""Number of these leaves to the root that is published for them."""


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """The tree's root exactly as RFC 6962, 2.1 defines it, by recursion."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def root(leaves: Sequence[bytes]) -> str:
    """The root, one leaf after another."""
    head = TreeHead()
    for leaf in leaves:
        head.add(leaf)
    return head.root()


@pytest.mark.parametrize("size", ROOTS)
def test_the_roots_are_those_that_others_published(size: int) -> None:
    assert root([bytes.fromhex(leaf) for leaf in PUBLISHED[:size]]) == ROOTS[size]


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_a_root_is_that_of_the_definition(leaves: list[bytes]) -> None:
    assert root(leaves) == by_definition(leaves).hex()


@given(st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=70, unique=True), st.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, top, size = Tree(leaves).path(index), root(leaves), len(leaves)
    assert leads_to(top, leaves[index], index, size, path)
    assert not leads_to(top, leaves[index] + b"!", index, size, path)
    assert not leads_to(top, leaves[index], index, size, [*path, "00" * 32])
    assert not leads_to(top, leaves[index], index, size, path[:-1]) or not path
    for other in range(size):
        assert leads_to(top, leaves[index], other, size, path) is (other == index)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0)])
def test_a_place_outside_the_tree_is_none(index: int, size: int) -> None:
    assert not leads_to(root([b"leaf"]), b"leaf", index, size, [])
