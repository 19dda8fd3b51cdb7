"""ISP andes: its interface, word for word; and every way in which it can be told to misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from lab.isps.andes import Andes
from lab.lab import Lab
from precinto.domain.model import canonical_json
from precinto.domain.notification import Action, Notice
from tests.lab.notices import new_order, notice

TARGET = "y2mate.com"


class Desk:
    """A client of the interface."""

    def __init__(self, lab: Lab, client: httpx.AsyncClient) -> None:
        self.andes = lab.andes
        self._client = client

    async def put(self, sent: Notice, content: bytes | None = None, **headers: str | bytes) -> httpx.Response:
        """Send a notice; ``content`` and headers differ from what is right only where a test says so."""
        right: dict[str, str | bytes] = {
            "Authorization": f"Bearer {self.andes.token}",
            "Idempotency-Key": sent.id,
            "Content-Type": "application/json",
        }
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.put(
            f"{self.andes.url}/notices/{sent.id}",
            content=canonical_json(sent.document()) if content is None else content,
            headers=right | changed,
        )

    async def request(self, method: str, path: str) -> httpx.Response:
        return await self._client.request(method, self.andes.url + path)


@pytest.fixture
async def desk(lab: Lab) -> AsyncGenerator[Desk]:
    """The interface of an ISP that is honest, and blocks nothing, before and after."""
    context = ssl.create_default_context(cafile=str(lab.ca))
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=30) as client:
        yield Desk(lab, client)
    lab.andes.behaviour.honest()
    assert await lab.andes.enforcement.lift_all() == frozenset()


@pytest.fixture
def andes(lab: Lab) -> Andes:
    return lab.andes


async def rcode(lab: Lab, name: str = TARGET) -> str:
    return (await lab.resolve("andes", name)).rcode


async def release(desk: Desk, order: str, *targets: str) -> None:
    answer = await desk.put(notice("andes", order, *(targets or (TARGET,)), action=Action.RELEASE))
    assert answer.status_code == 201


async def test_a_notice_is_enforced_before_it_is_answered(lab: Lab, desk: Desk) -> None:
    order = new_order()
    sent = notice("andes", order, TARGET, "yout.com")
    answer = await desk.put(sent)
    assert answer.status_code == 201
    assert answer.json() == {
        "notice": sent.id,
        "items": [{"measure": item.id, "claim": "enforced"} for item in sent.items],
    }
    assert [await rcode(lab, name) for name in (TARGET, f"www.{TARGET}", "yout.com")] == ["NXDOMAIN"] * 3
    assert (await lab.resolve("sur", TARGET)).rcode == "NOERROR"
    await release(desk, order, TARGET, "yout.com")
    assert [await rcode(lab, name) for name in (TARGET, f"www.{TARGET}", "yout.com")] == ["NOERROR"] * 3


async def test_a_repetition_says_the_same_and_is_journaled_as_one(desk: Desk, andes: Andes) -> None:
    order = new_order()
    sent = notice("andes", order, TARGET)
    first, second = await asyncio.gather(desk.put(sent), desk.put(sent))
    assert sorted((first.status_code, second.status_code)) == [200, 201]
    assert first.json() == second.json()
    assert [entry.repeated for entry in andes.journal.of(sent.id)] == [False, True]
    assert [entry.notice for entry in andes.journal.taken()].count(sent.id) == 1
    await release(desk, order)


async def test_another_order_under_a_known_id_is_a_conflict(lab: Lab, desk: Desk, andes: Andes) -> None:
    order = new_order()
    sent = notice("andes", order, TARGET)
    await desk.put(sent)
    other = sent.model_copy(update={"items": notice("andes", order, "libreria.test").items})
    assert (await desk.put(other)).status_code == 409
    assert await rcode(lab, "libreria.test") == "NOERROR"
    assert [(entry.taken, entry.answer) for entry in andes.journal.of(sent.id)] == [(True, "201"), (False, "409")]
    await release(desk, order)


async def test_a_name_stays_blocked_while_an_order_stands(lab: Lab, desk: Desk) -> None:
    first, second = new_order(), new_order()
    for order in (first, second):
        await desk.put(notice("andes", order, TARGET))
    await release(desk, first)
    assert await rcode(lab) == "NXDOMAIN"
    await release(desk, second)
    assert await rcode(lab) == "NOERROR"


@pytest.mark.parametrize("token", [b"", b"Bearer wrong", b"Basic eHg6eHg=", b"Bearer \xf1"])
async def test_who_has_no_token_is_not_heard(lab: Lab, desk: Desk, andes: Andes, token: bytes) -> None:
    sent = notice("andes", new_order(), TARGET)
    assert (await desk.put(sent, Authorization=token)).status_code == 401
    assert andes.journal.of(sent.id) == []
    assert await rcode(lab) == "NOERROR"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, "v: "),
        ({"items": [{"measure": "m", "target": "127.0.0.1", "method": "ip"}]}, "items.0."),
        ({"items": [{"measure": "m", "target": "a.test\nstop", "method": "dns"}]}, "items.0.target"),
        ({"from": "2026-01-01T00:00:00"}, "from: "),
        ({"until": "2020-01-01T00:00:00+00:00"}, "until: the order ends before it begins"),
        ({"isp": "sur"}, "isp: this is andes, not sur"),
        ({"reminder": -1}, "reminder: "),
        ({"notice": new_order()}, "notice: not the id of the path"),
    ],
)
async def test_a_malformed_notice_is_refused_with_the_field(desk: Desk, changes: dict[str, Any], reason: str) -> None:
    sent = notice("andes", new_order(), TARGET)
    answer = await desk.put(sent, canonical_json(sent.document() | changes))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(reason)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b'{"v": 1.5}', b"[" * 100_000])
async def test_what_is_no_notice_at_all_is_refused(desk: Desk, content: bytes) -> None:
    assert (await desk.put(notice("andes", new_order(), TARGET), content)).status_code == 400


async def test_the_key_must_be_the_notice(desk: Desk) -> None:
    sent = notice("andes", new_order(), TARGET)
    assert (await desk.put(sent, Idempotency_Key=new_order())).status_code == 400
    assert (await desk.put(sent, Content_Type="text/plain")).status_code == 400


async def test_there_is_nothing_else(desk: Desk) -> None:
    assert (await desk.request("GET", "/")).status_code == 404
    answer = await desk.request("DELETE", f"/notices/{new_order()}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


@pytest.mark.parametrize("action", list(Action))
async def test_a_lie_lasts_until_the_reminder(lab: Lab, desk: Desk, andes: Andes, action: Action) -> None:
    order = new_order()
    before, after = ("NOERROR", "NXDOMAIN") if action is Action.BLOCK else ("NXDOMAIN", "NOERROR")
    if action is Action.RELEASE:
        await desk.put(notice("andes", order, TARGET))
    andes.behaviour.lie(action)
    sent = notice("andes", order, TARGET, action=action)
    lied = await desk.put(sent)
    assert lied.json()["items"][0]["claim"] == "enforced"
    assert await rcode(lab) == before
    assert (await desk.put(sent)).status_code == 200
    assert await rcode(lab) == before
    await desk.put(notice("andes", order, TARGET, action=action, reminder=1))
    assert await rcode(lab) == after
    if action is Action.BLOCK:
        await release(desk, order)


async def test_a_stubborn_isp_lies_to_reminders_too(lab: Lab, desk: Desk, andes: Andes) -> None:
    order = new_order()
    andes.behaviour.lie(Action.BLOCK, times=2, reminders=True)
    for reminder in range(3):
        assert await rcode(lab) == "NOERROR"
        await desk.put(notice("andes", order, TARGET, reminder=reminder))
    assert await rcode(lab) == "NXDOMAIN"
    await release(desk, order)


async def test_failures_take_nothing_and_say_when_to_come_back(lab: Lab, desk: Desk, andes: Andes) -> None:
    order = new_order()
    sent = notice("andes", order, TARGET)
    andes.behaviour.fail(times=2, retry_after=7)
    for _ in range(2):
        failed = await desk.put(sent)
        assert (failed.status_code, failed.headers["retry-after"]) == (503, "7")
        assert await rcode(lab) == "NOERROR"
    assert (await desk.put(sent)).status_code == 201
    entries = [(entry.answer, entry.taken, entry.repeated) for entry in andes.journal.of(sent.id)]
    assert entries == [("503", False, False), ("503", False, False), ("201", True, False)]
    await release(desk, order)


async def test_a_silent_isp_takes_nothing(lab: Lab, desk: Desk, andes: Andes) -> None:
    order = new_order()
    sent = notice("andes", order, TARGET)
    andes.behaviour.silent()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await desk.put(sent)
    assert await rcode(lab) == "NOERROR"
    assert (await desk.put(sent)).status_code == 201
    await release(desk, order)


async def test_a_lost_answer_is_made_good_by_the_repetition(lab: Lab, desk: Desk, andes: Andes) -> None:
    """The order was carried out, and the sender cannot know: what a retry must be safe for."""
    order = new_order()
    sent = notice("andes", order, TARGET)
    andes.behaviour.lose_answer()
    with pytest.raises(httpx.TransportError):
        await desk.put(sent)
    assert await rcode(lab) == "NXDOMAIN"
    assert (await desk.put(sent)).status_code == 200
    assert [entry.notice for entry in andes.journal.taken()].count(sent.id) == 1
    await release(desk, order)


async def test_a_slow_isp_answers_in_the_end(desk: Desk, andes: Andes) -> None:
    order = new_order()
    andes.behaviour.slow = 0.2
    clock = asyncio.get_running_loop().time
    began = clock()
    await desk.put(notice("andes", order, TARGET))
    assert clock() - began >= 0.2
    andes.behaviour.honest()
    await release(desk, order)
