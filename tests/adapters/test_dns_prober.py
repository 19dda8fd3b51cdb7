"""The prober: against real resolvers what orders do, against a scripted one the answers that are rare."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

import dns.asyncquery
import dns.edns
import dns.flags
import dns.message
import dns.rrset
import dns.update
import pytest

from lab.names import RPZ_ZONE
from precinto.adapters.channels.rpz import RpzChannel
from precinto.adapters.probers.dns import DnsProber
from precinto.domain.errors import Unavailable
from precinto.domain.notification import Action
from precinto.domain.verification import Answer, Ruling, judge
from tests.adapters.names import PolicyServers
from tests.adapters.scripted_dns import Query, Said, Script, finds, reply, scripted_dns
from tests.contract.notices import notice

CANARY = "ejemplo.test"
TARGET = "y2mate.com"


class TestAgainstRealResolvers:
    """A BIND that follows the policy zone, beside an Unbound that does not."""

    @pytest.fixture
    def prober(self, policy: PolicyServers) -> DnsProber:
        return DnsProber([str(policy.control)], CANARY)

    @pytest.fixture
    def channel(self, policy: PolicyServers) -> RpzChannel:
        options = {"primary": policy.address, "zone": RPZ_ZONE, "key": "authority-updater"}
        return RpzChannel(
            "norte", RpzChannel.Options.model_validate(options | {"secret_file": "updater.key"}), policy.secrets
        )

    async def _measured(self, prober: DnsProber, policy: PolicyServers, ruling: Ruling) -> tuple[Answer, ...]:
        """The answers of the first round that has this ruling."""
        async with asyncio.timeout(20):
            while True:
                facts = await prober.measure(TARGET, [str(policy.resolver)])
                if judge(facts).ruling is ruling:
                    return facts.probe
                await asyncio.sleep(0.02)

    async def test_an_open_site_answers_as_the_control(self, prober: DnsProber, policy: PolicyServers) -> None:
        facts = await prober.measure(TARGET, [str(policy.resolver)])
        names = [(TARGET, False), (TARGET, True), (f"www.{TARGET}", False), (f"www.{TARGET}", True)]
        assert [(a.name, a.dnssec_ok) for a in facts.probe] == names
        assert facts.probe == facts.control
        assert all((a.rcode, a.addresses) == ("NOERROR", ("127.0.1.2",)) for a in facts.probe)
        assert facts.canary
        assert judge(facts).ruling is Ruling.NOT_BLOCKED

    async def test_a_block_is_seen_with_the_sign_of_its_zone_and_so_is_its_end(
        self, prober: DnsProber, policy: PolicyServers, channel: RpzChannel
    ) -> None:
        await channel.deliver(notice(Action.BLOCK, TARGET))
        blocked = await self._measured(prober, policy, Ruling.BLOCKED)
        assert {(a.rcode, a.addresses, a.policy_zone) for a in blocked} == {("NXDOMAIN", (), RPZ_ZONE)}
        await channel.deliver(notice(Action.RELEASE, TARGET))
        assert all(a.addresses for a in await self._measured(prober, policy, Ruling.NOT_BLOCKED))

    async def test_a_policy_that_leaves_www_open_is_partial(self, prober: DnsProber, policy: PolicyServers) -> None:
        by_hand = dns.update.UpdateMessage(RPZ_ZONE, keyring=policy.updater)
        by_hand.add(TARGET, 60, "CNAME", ".")
        await dns.asyncquery.tcp(by_hand, policy.primary.address, 10, policy.primary.port)
        await self._measured(prober, policy, Ruling.PARTIAL)
        undo = dns.update.UpdateMessage(RPZ_ZONE, keyring=policy.updater)
        undo.delete(TARGET)
        await dns.asyncquery.tcp(undo, policy.primary.address, 10, policy.primary.port)
        await self._measured(prober, policy, Ruling.NOT_BLOCKED)

    async def test_a_site_that_is_gone_is_gone_for_the_control_too(
        self, prober: DnsProber, policy: PolicyServers
    ) -> None:
        facts = await prober.measure("nobody-has-this.test", [str(policy.resolver)])
        assert {a.rcode for a in (*facts.probe, *facts.control)} == {"NXDOMAIN"}
        assert judge(facts).ruling is Ruling.SITE_DOWN


async def _probe(script: Script, *, tcp: bool = True) -> Answer:
    """The first answer of a resolver that answers by the script."""
    async with scripted_dns(script, tcp=tcp) as isp, scripted_dns(finds("127.0.1.2")) as sound:
        facts = await DnsProber([sound.address], CANARY, timeout=1).measure(TARGET, [isp.address])
        return facts.probe[0]


class TestAnswers:
    """What is read from one answer."""

    @pytest.mark.parametrize("rcode", ["NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
    async def test_the_rcode(self, rcode: str) -> None:
        assert await _probe(lambda q: reply(q, rcode=rcode)) == Answer(name=TARGET, rcode=rcode)

    async def test_no_addresses_is_an_answer_too(self) -> None:
        assert await _probe(reply) == Answer(name=TARGET, rcode="NOERROR")

    async def test_all_addresses_sorted(self) -> None:
        def several(query: Query) -> Said:
            return reply(query, *(f"{query.name}. 60 IN A 127.0.1.{n}" for n in (9, 2, 5)))

        assert (await _probe(several)).addresses == ("127.0.1.2", "127.0.1.5", "127.0.1.9")

    async def test_aliases_are_followed_and_strangers_left_out(self) -> None:
        def aliased(query: Query) -> Said:
            return reply(
                query,
                f"{query.name}. 60 IN CNAME EDGE.cdn.test.",
                "edge.cdn.test. 60 IN CNAME node.cdn.test.",
                "node.cdn.test. 60 IN A 127.0.1.2",
                "stranger.test. 60 IN A 127.0.1.66",
            )

        assert (await _probe(aliased)).addresses == ("127.0.1.2",)

    async def test_aliases_in_a_circle_lead_nowhere(self) -> None:
        def circle(query: Query) -> Said:
            return reply(query, f"{query.name}. 60 IN CNAME b.test.", f"b.test. 60 IN CNAME {query.name}.")

        assert (await _probe(circle)).addresses == ()

    @pytest.mark.parametrize("code", [4, 15, 16, 17, 18])
    async def test_extended_errors(self, code: int) -> None:
        def explained(query: Query) -> Said:
            message = reply(query, rcode="NXDOMAIN")
            options = [dns.edns.EDEOption(code, "by order"), dns.edns.EDEOption(3), dns.edns.EDEOption(code)]
            message.use_edns(0, options=options)
            return message

        assert (await _probe(explained)).extended == tuple(sorted({3, code}))

    async def test_the_policy_zone_in_the_additional_section(self) -> None:
        def signed(query: Query) -> Said:
            message = reply(query, rcode="NXDOMAIN")
            soa = "ns.a.test. hostmaster.a.test. 1 60 60 60 60"
            message.additional.append(dns.rrset.from_text("rpz.a.test.", 60, "IN", "SOA", soa))
            return message

        assert (await _probe(signed)).policy_zone == "rpz.a.test"


class TestPackets:
    """What can happen to a packet."""

    async def test_silence_is_a_timeout_after_a_second_try(self) -> None:
        async with scripted_dns(lambda _: None) as isp, scripted_dns(finds("127.0.1.2")) as control:
            facts = await DnsProber([control.address], CANARY, timeout=0.2).measure(TARGET, [isp.address])
            assert {a.rcode for a in facts.probe} == {"TIMEOUT"}
            assert not facts.canary
            tries = Counter((q.name, q.dnssec_ok) for q in isp.queries)
            assert tries == {(a.name, a.dnssec_ok): 2 for a in facts.probe} | {(CANARY, False): 2}
            # Whoever would forge an answer has to guess both, each time anew.
            assert len({q.message.id for q in isp.queries}) > 5
            assert len({q.port for q in isp.queries}) > 5

    async def test_one_lost_packet_is_no_silence(self) -> None:
        seen: Counter[tuple[str, bool]] = Counter()

        def loses_the_first(query: Query) -> Said:
            seen[query.name, query.dnssec_ok] += 1
            return None if seen[query.name, query.dnssec_ok] == 1 else reply(query, f"{query.name}. 1 IN A 127.0.1.2")

        assert await _probe(loses_the_first) == Answer(name=TARGET, rcode="NOERROR", addresses=("127.0.1.2",))

    async def test_a_closed_port_is_unreachable(self) -> None:
        async with scripted_dns(finds("127.0.1.2")) as control:
            async with scripted_dns(finds("127.0.1.2")) as gone:
                pass
            facts = await DnsProber([control.address], CANARY, timeout=0.3).measure(TARGET, [gone.address])
        assert {a.rcode for a in facts.probe} == {"UNREACHABLE"}
        assert judge(facts).ruling is Ruling.VANTAGE_FAULT

    async def test_a_cut_answer_is_asked_for_again_over_tcp(self) -> None:
        def cut(query: Query) -> Said:
            if query.transport == "tcp":
                return reply(query, f"{query.name}. 60 IN A 127.0.1.2")
            message = reply(query)
            message.flags |= dns.flags.TC
            return message

        assert (await _probe(cut)).addresses == ("127.0.1.2",)
        assert (await _probe(cut, tcp=False)).rcode == "UNREACHABLE"

    async def test_what_is_forged_or_malformed_is_passed_over(self) -> None:
        def crowd(query: Query) -> Said:
            forged = reply(query, f"{query.name}. 60 IN A 127.0.1.66")
            forged.id = query.message.id ^ 1
            other = dns.message.make_response(dns.message.make_query("stranger.test", "A", id=query.message.id))
            true = reply(query, f"{query.name}. 60 IN A 127.0.1.2")
            return [b"", b"\0" * 5, b"\xff" * 600, forged.to_wire(), other.to_wire(), true.to_wire()]

        assert (await _probe(crowd)).addresses == ("127.0.1.2",)

    async def test_a_machine_without_sockets_measures_nothing_and_says_so(self) -> None:
        async with scripted_dns(finds("127.0.1.2")) as server:
            prober = DnsProber([server.address], CANARY, timeout=0.3)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                with pytest.raises(Unavailable, match="no measurement from here now"):
                    await prober.measure(TARGET, [server.address])
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert (await prober.measure(TARGET, [server.address])).canary


class TestRounds:
    """What belongs to one round."""

    async def test_everything_is_asked_at_the_same_moment(self) -> None:
        everybody = asyncio.Barrier(4 + 4 + 1)

        async def waits_for_the_others(query: Query) -> Said:
            await everybody.wait()
            return reply(query, f"{query.name}. 60 IN A 127.0.1.2")

        async with scripted_dns(waits_for_the_others) as isp, scripted_dns(waits_for_the_others) as control:
            facts = await DnsProber([control.address], CANARY, timeout=5).measure(TARGET, [isp.address])
        assert facts.canary
        assert len(isp.queries) + len(control.queries) == 9

    async def test_queries_want_recursion_and_room(self) -> None:
        async with scripted_dns(finds("127.0.1.2")) as server:
            await DnsProber([server.address], CANARY).measure(TARGET, [server.address])
            assert all(q.message.flags & dns.flags.RD and q.message.payload == 1232 for q in server.queries)

    async def test_one_open_resolver_of_several_makes_the_block_partial(self) -> None:
        def blocks(query: Query) -> Any:
            if query.name == CANARY:
                return finds("127.0.1.8")(query)
            return reply(query, rcode="NXDOMAIN")

        async with scripted_dns(blocks) as good, scripted_dns(finds("127.0.1.2")) as bad:
            facts = await DnsProber([bad.address], CANARY).measure(TARGET, [good.address, bad.address, good.address])
        assert [a.rcode for a in facts.probe] == ["NXDOMAIN"] * 4 + ["NOERROR"] * 4 + ["NXDOMAIN"] * 4
        assert judge(facts).ruling is Ruling.PARTIAL

    @pytest.mark.parametrize("fault", [lambda _: None, reply, lambda q: reply(q, rcode="SERVFAIL")])
    async def test_every_resolver_must_find_the_canary(self, fault: Script) -> None:
        def loses_the_canary(query: Query) -> Any:
            return (fault if query.name == CANARY else finds("127.0.1.2"))(query)

        async with scripted_dns(finds("127.0.1.2")) as sound, scripted_dns(loses_the_canary) as broken:
            prober = DnsProber([sound.address], CANARY, timeout=0.2)
            assert (await prober.measure(TARGET, [sound.address])).canary
            assert not (await prober.measure(TARGET, [sound.address, broken.address])).canary

    @pytest.mark.parametrize("fault", [lambda _: None, lambda q: reply(q, rcode="SERVFAIL")])
    async def test_another_control_stands_in_for_one_that_is_broken(self, fault: Script) -> None:
        async with scripted_dns(fault) as broken, scripted_dns(finds("127.0.1.2")) as sound:
            prober = DnsProber([broken.address, sound.address], CANARY, timeout=0.2)
            facts = await prober.measure(TARGET, [sound.address])
            assert {a.addresses for a in facts.control} == {("127.0.1.2",)}
            assert len(facts.control) == 4
            alone = await DnsProber([broken.address], CANARY, timeout=0.2).measure(TARGET, [sound.address])
            assert judge(alone).ruling is Ruling.INCONCLUSIVE

    async def test_a_name_as_long_as_names_can_be_has_nothing_below_it(self) -> None:
        longest = ".".join(["a" * 63] * 3 + ["b" * 56, "test"])
        async with scripted_dns(finds("127.0.1.2")) as server:
            facts = await DnsProber([server.address], CANARY).measure(longest, [server.address])
        assert [(a.name, a.dnssec_ok) for a in facts.probe] == [(longest, False), (longest, True)]

    async def test_many_rounds_at_once_neither_flood_a_resolver_nor_use_up_the_sockets(self) -> None:
        site = finds("127.0.1.2")
        async with scripted_dns(site) as control, scripted_dns(site) as first, scripted_dns(site) as second:
            prober = DnsProber([control.address], CANARY, timeout=10)  # a busy machine is no lost packet
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
            try:
                rounds = await asyncio.gather(
                    *(prober.measure(f"site-{n}.test", [first.address, second.address]) for n in range(100))
                )
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {judge(facts).ruling for facts in rounds} == {Ruling.NOT_BLOCKED}
        assert len(first.queries) == 500  # nothing had to be asked twice
