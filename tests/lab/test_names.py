"""Names: every host and everything below it resolves everywhere; nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from lab.lab import Lab
from lab.names import CONTROL, HOSTS, SECOND_CONTROL, host_of
from precinto.adapters.investigators.names import Names
from precinto.adapters.investigators.reach import Reach
from precinto.registry import read_registry

EVERYWHERE = pytest.mark.parametrize("where", ["norte", "sur", "andes", CONTROL, SECOND_CONTROL])


@EVERYWHERE
async def test_every_host_resolves_to_its_address(lab: Lab, where: str) -> None:
    for host in HOSTS:
        for name in (host.name, f"www.{host.name}", f"a.b.{host.name}", host.name.upper()):
            answer = await lab.resolve(where, name)
            assert (answer.rcode, answer.addresses) == ("NOERROR", (host.address,)), name


@EVERYWHERE
@pytest.mark.parametrize("name", ["example.com", "biz", "nobody.test", "flvto.biz.example"])
async def test_a_name_outside_the_lab_does_not_exist(lab: Lab, where: str, name: str) -> None:
    """The lab's root says so: no resolver asks anybody outside."""
    answer = await lab.resolve(where, name)
    assert answer.addresses == ()
    assert answer.rcode in ("NXDOMAIN", "NOERROR")  # "biz" is an empty name between the root and flvto.biz


async def test_of_a_target_two_resolvers_and_the_zones_own_server_are_asked(lab: Lab) -> None:
    """What the product finds out in here lacks nobody's answer."""
    resolvers = read_registry(lab.registry).control_resolvers
    reach = Reach(resolvers, {**lab.ports, 53: lab.root}, seconds=5)
    found = await Names(resolvers, reach).find("flvto.biz", "flvto.biz", asyncio.get_running_loop().time() + 10)
    asked = {(one["server"]["role"], one["server"]["address"]) for one in found.document["answers"]}
    assert len(asked) == 3
    assert found.document["differences"] == []
    assert found.missing == ()


def test_a_name_belongs_to_the_host_above_it() -> None:
    host = host_of("WWW.flvto.biz.")
    assert host is not None
    assert host.name == "flvto.biz"
    assert host_of("notflvto.biz") is None
