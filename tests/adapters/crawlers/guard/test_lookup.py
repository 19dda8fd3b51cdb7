"""All addresses of a name or none, and why there is none."""

from __future__ import annotations

import socket

import pytest

from precinto.adapters.crawlers.guard.lookup import Lookup, NoAddress
from tests.adapters.internet import names


async def test_both_families_are_asked_and_every_address_counts() -> None:
    async with names() as resolver:
        resolver.answers["example.com"] = ("2606:4700::1", "93.184.216.34", "10.0.0.1")
        found = await Lookup([resolver.address], 5).addresses("example.com")
        assert {str(one) for one in found[:2]} == {"93.184.216.34", "10.0.0.1"}  # in the order of the answer
        assert str(found[2]) == "2606:4700::1"
        assert sorted(resolver.asked) == ["example.com A", "example.com AAAA"]


async def test_no_suffix_of_this_machines_own_is_added_to_a_name() -> None:
    async with names() as resolver:
        with pytest.raises(NoAddress):
            await Lookup([resolver.address], 5).addresses("intranet")
        assert set(resolver.asked) == {"intranet A", "intranet AAAA"}


async def test_a_name_that_does_not_exist_and_one_without_address_are_told_apart() -> None:
    async with names() as resolver:
        resolver.answers["empty.example.com"] = ()
        lookup = Lookup([resolver.address], 5)
        with pytest.raises(NoAddress, match=r"^the name does not exist \(NXDOMAIN\)$"):
            await lookup.addresses("gone.example.com")
        with pytest.raises(NoAddress, match=r"^no address$"):
            await lookup.addresses("empty.example.com")


async def test_a_resolver_that_is_silent_is_waited_for_as_long_as_was_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        lookup = Lookup([f"127.0.0.1:{silent.getsockname()[1]}"], 0.2)
        with pytest.raises(NoAddress, match=r"^no resolver answered in time$"):
            await lookup.addresses("example.com")


async def test_what_no_name_server_can_be_asked_for_has_no_address() -> None:
    async with names() as resolver:
        with pytest.raises(NoAddress):
            await Lookup([resolver.address], 5).addresses("a" * 64 + ".example.com")
        assert resolver.asked == []
