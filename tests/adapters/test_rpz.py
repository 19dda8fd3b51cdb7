"""The RPZ channel against a BIND primary, and a BIND resolver that enforces the zone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.update
import pytest
from pydantic import ValidationError

from lab.names import NORTE_KEY, RPZ_ZONE, UPDATER_KEY
from precinto.adapters.channels.rpz import NAMES_PER_UPDATE, RpzChannel
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.notification import Action
from tests.adapters.names import PolicyServers
from tests.contract.channel_kit import ChannelContract
from tests.contract.notices import new_target, notice


def _channel(policy: PolicyServers, folder: Path | None = None, **changed: Any) -> RpzChannel:
    options = {
        "primary": policy.address,
        "zone": RPZ_ZONE,
        "key": UPDATER_KEY,
        "secret_file": "updater.key",
        "deadline_seconds": 10,
    }
    return RpzChannel("norte", RpzChannel.Options.model_validate(options | changed), folder or policy.secrets)


class PolicyDesk:
    """The zone as the ISP side: its serial counts the acts."""

    def __init__(self, policy: PolicyServers) -> None:
        self._policy = policy
        self.channel = _channel(policy)

    async def blocked(self) -> set[str]:
        records = await asyncio.to_thread(self._policy.records)
        return {name for name in records if f"*.{name}" in records}

    async def acts(self) -> int:
        serial = await self._policy.primary.serial(RPZ_ZONE)
        assert serial is not None
        return serial

    def channel_at(self, address: str) -> RpzChannel:
        return _channel(self._policy, primary=address, deadline_seconds=0.5)


@pytest.fixture
def channel(policy: PolicyServers) -> RpzChannel:
    return _channel(policy)


class TestRpzChannel(ChannelContract):
    """The contract, kept with a zone."""

    @pytest.fixture
    def desk(self, policy: PolicyServers) -> PolicyDesk:
        return PolicyDesk(policy)


async def _comes_to(policy: PolicyServers, name: str, rcode: str) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await policy.resolver.ask(name)).rcode == rcode:
                return
            await asyncio.sleep(0.02)


async def test_the_isps_customers_get_nxdomain_and_after_the_release_the_site(
    policy: PolicyServers, channel: RpzChannel
) -> None:
    open_before = await policy.resolver.ask("flvto.biz")
    assert open_before.addresses == ("127.0.1.1",)
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    for name in ("flvto.biz", "www.flvto.biz", "a.b.flvto.biz"):
        await _comes_to(policy, name, "NXDOMAIN")
    assert (await policy.resolver.ask("yout.com")).rcode == "NOERROR"
    await channel.deliver(notice(Action.RELEASE, "flvto.biz"))
    for name in ("flvto.biz", "www.flvto.biz"):
        await _comes_to(policy, name, "NOERROR")
    assert await policy.resolver.ask("flvto.biz") == open_before


async def test_the_records_are_the_name_and_all_below_it(policy: PolicyServers, channel: RpzChannel) -> None:
    target = new_target()
    delivery = await channel.deliver(notice(Action.BLOCK, target))
    records = await asyncio.to_thread(policy.records)
    assert {name: data for name, data in records.items() if target in name} == {
        target: "CNAME .",
        f"*.{target}": "CNAME .",
    }
    assert delivery.receipt == f"serial {await policy.primary.serial(RPZ_ZONE)}"
    assert delivery.acknowledgements == ()


async def test_a_name_that_another_order_blocks_too_stays_in_the_zone(
    policy: PolicyServers, channel: RpzChannel
) -> None:
    target, alone = new_target(), new_target()
    await channel.deliver(notice(Action.BLOCK, target, alone))
    release = notice(Action.RELEASE, target, alone)
    kept, gone = release.items
    kept = kept.model_copy(update={"also_under": "2026-000007"})
    await channel.deliver(release.model_copy(update={"items": (kept, gone)}))
    records = await asyncio.to_thread(policy.records)
    assert {name for name in records if target in name or alone in name} == {target, f"*.{target}"}


async def test_an_order_on_a_name_below_another_stands_by_itself(policy: PolicyServers, channel: RpzChannel) -> None:
    # The wildcard of the one answers queries for the other: asked by query, the second order would seem done.
    target = new_target()
    await channel.deliver(notice(Action.BLOCK, target))
    await channel.deliver(notice(Action.BLOCK, f"www.{target}"))
    await channel.deliver(notice(Action.RELEASE, target))
    records = await asyncio.to_thread(policy.records)
    assert {name for name in records if target in name} == {f"www.{target}", f"*.www.{target}"}


@pytest.mark.parametrize("act", [Action.BLOCK, Action.RELEASE])
@pytest.mark.parametrize("left", ["CNAME rpz-passthru.", "A 127.0.1.9", None])
async def test_a_zone_that_somebody_changed_by_hand_is_put_right(
    policy: PolicyServers, channel: RpzChannel, act: Action, left: str | None
) -> None:
    target = new_target()
    await channel.deliver(notice(Action.BLOCK, target))
    by_hand = dns.update.UpdateMessage(RPZ_ZONE, keyring=policy.updater)
    by_hand.delete(f"*.{target}")
    if left is not None:
        by_hand.add(f"*.{target}", 60, *left.split())
    await dns.asyncquery.tcp(by_hand, policy.primary.address, 10, policy.primary.port)
    changed = await asyncio.to_thread(policy.records)
    assert changed.get(f"*.{target}") == left
    await channel.deliver(notice(act, target, reminder=1))
    records = await asyncio.to_thread(policy.records)
    kept = "CNAME ." if act is Action.BLOCK else None
    assert (records.get(target), records.get(f"*.{target}")) == (kept, kept)


async def test_more_names_than_one_message_holds(policy: PolicyServers, channel: RpzChannel) -> None:
    stem = new_target()
    targets = [f"site-with-a-rather-long-name-{n}.{stem}" for n in range(2 * NAMES_PER_UPDATE + 1)]
    before = await policy.primary.serial(RPZ_ZONE) or 0
    delivery = await channel.deliver(notice(Action.BLOCK, *targets))
    assert delivery.receipt == f"serial {before + 3}"
    assert set(targets) <= set(await asyncio.to_thread(policy.records))
    assert await channel.deliver(notice(Action.BLOCK, *targets)) == delivery
    await channel.deliver(notice(Action.RELEASE, *targets))
    assert not [name for name in await asyncio.to_thread(policy.records) if stem in name]


@pytest.mark.parametrize(
    "target",
    [
        "32.1.0.0.127.rpz-ip",
        "0.0.0.0.0.rpz-ip",
        "a.test.rpz-nsdname",
        "*.test",
        "a..test",
        "a b.test",
        "test",
        ".",
        "",
    ],
)
async def test_what_would_be_another_kind_of_rule_is_refused(
    policy: PolicyServers, channel: RpzChannel, target: str
) -> None:
    before = await policy.primary.serial(RPZ_ZONE)
    with pytest.raises(Refused) as refused:
        await channel.deliver(notice(Action.BLOCK, new_target(), target))
    assert refused.value.code == "rpz_not_a_host"
    assert await policy.primary.serial(RPZ_ZONE) == before


async def test_a_name_that_does_not_fit_into_the_zone_is_refused_and_so_is_the_whole_notice(
    policy: PolicyServers, channel: RpzChannel
) -> None:
    before = await policy.primary.serial(RPZ_ZONE)
    longest = ".".join(["a" * 63] * 3 + ["b" * 53, "test"])
    with pytest.raises(Refused) as refused:
        await channel.deliver(notice(Action.BLOCK, new_target(), longest))
    assert refused.value.code == "rpz_name_too_long"
    assert await policy.primary.serial(RPZ_ZONE) == before


@pytest.mark.parametrize(
    ("changed", "code", "hint"),
    [
        ({"key": NORTE_KEY, "secret_file": "norte.key"}, "rpz_refused", "update-policy"),
        ({"key": UPDATER_KEY, "secret_file": "norte.key"}, "rpz_badkey", "secret of key authority-updater"),
        ({"key": "nobody"}, "rpz_badkey", "check name, algorithm and secret of key nobody"),
        ({"algorithm": "hmac-sha512"}, "rpz_badkey", "algorithm"),
        ({"zone": "other.test"}, "rpz_notauth", "does not serve zone other.test"),
    ],
    ids=["a key that may only transfer", "wrong secret", "unknown key", "wrong algorithm", "wrong zone"],
)
async def test_a_primary_that_refuses_says_what_to_check(
    policy: PolicyServers, changed: dict[str, Any], code: str, hint: str
) -> None:
    with pytest.raises(Refused, match=hint) as refused:
        await _channel(policy, **changed).deliver(notice(Action.BLOCK, new_target()))
    assert refused.value.code == code


async def test_what_is_not_signed_does_not_count(policy: PolicyServers) -> None:
    async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Says yes to everything, as somebody in between could who lacks the key."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                noerror = wire[:2] + bytes([0xA8]) + bytes(9)  # the header of an answer to an UPDATE, and no more
                writer.write(len(noerror).to_bytes(2, "big") + noerror)
        writer.close()

    async with await asyncio.start_server(agree, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(Unavailable, match="requires a TSIG"):
            await _channel(policy, primary=address).deliver(notice(Action.BLOCK, new_target()))


@pytest.mark.parametrize("content", ["", "not base64!", "two words", "\x00\x01"], ids=repr)
async def test_a_secret_that_cannot_be_used_waits_for_a_person(
    policy: PolicyServers, tmp_path: Path, content: str
) -> None:
    (tmp_path / "updater.key").write_text(content)
    with pytest.raises(Unavailable, match=r"updater\.key") as away:
        await _channel(policy, tmp_path).deliver(notice(Action.BLOCK, new_target()))
    assert content.strip() == "" or content not in str(away.value)


async def test_a_secret_is_read_when_it_is_used(policy: PolicyServers, tmp_path: Path) -> None:
    channel = _channel(policy, tmp_path)
    with pytest.raises(Unavailable):
        await channel.deliver(notice(Action.BLOCK, new_target()))
    shutil.copy(policy.secrets / "updater.key", tmp_path / "updater.key")
    await channel.deliver(notice(Action.BLOCK, new_target()))


@pytest.mark.parametrize("primary", ["ns.example:53", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "::1:53"])
def test_a_primary_is_an_address_and_a_port(primary: str) -> None:
    with pytest.raises(ValidationError):
        RpzChannel.Options.model_validate({"primary": primary, "zone": "z", "key": "k", "secret_file": "s"})
