"""The REST channel against a real HTTPS server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
from pydantic import ValidationError

from precinto.adapters.channels.rest import LONGEST_WAIT, MAX_ANSWER, RestChannel, retry_after
from precinto.domain.errors import Refused, Throttled, Unavailable
from precinto.domain.model import canonical_json
from precinto.domain.notification import Acknowledgement, Action, Claim, Delivery, Notice
from tests.adapters.https_desk import TOKEN, Answer, HttpsDesk, answer, cut, drip, flood, hang, https_desk, status
from tests.contract.channel_kit import ChannelContract
from tests.contract.notices import LETTER, new_target, notice, with_letter


@pytest.fixture
def folder(authority: trustme.CA, tmp_path: Path) -> Path:
    """A registry's folder, with the token and whom to trust."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def _channel(address: str, folder: Path, **changed: Any) -> RestChannel:
    options = {"url": f"https://{address}/v1/", "token_file": "token", "ca_file": "ca.pem", "deadline_seconds": 5}
    return RestChannel("isp", RestChannel.Options.model_validate(options | changed), folder)


class Interface:
    """The interface as the contract sees it."""

    def __init__(self, desk: HttpsDesk, folder: Path) -> None:
        self._desk = desk
        self._folder = folder
        self.channel = _channel(desk.address, folder)

    async def blocked(self) -> set[str]:
        blocked: set[str] = set()
        for sent in self._desk.taken.values():
            targets = {item["target"] for item in sent["items"]}
            blocked = blocked | targets if sent["action"] == "block" else blocked - targets
        return blocked

    async def acts(self) -> int:
        return len(self._desk.taken)

    def channel_at(self, address: str) -> RestChannel:
        return _channel(address, self._folder, deadline_seconds=0.5)


@pytest.fixture
async def desk(authority: trustme.CA) -> AsyncGenerator[HttpsDesk]:
    async with https_desk(authority) as opened:
        yield opened


@pytest.fixture
def channel(desk: HttpsDesk, folder: Path) -> RestChannel:
    return _channel(desk.address, folder)


@pytest.fixture
def sent() -> Notice:
    return notice(Action.BLOCK, "flvto.biz", "yout.com")


class TestRestChannel(ChannelContract):
    """The contract, kept over HTTPS."""

    @pytest.fixture
    async def desk(self, authority: trustme.CA, folder: Path) -> AsyncGenerator[Interface]:
        async with https_desk(authority) as opened:
            yield Interface(opened, folder)


async def test_a_notice_is_put_under_its_id(desk: HttpsDesk, channel: RestChannel, sent: Notice) -> None:
    delivery = await channel.deliver(sent)
    (request,) = desk.requests
    assert (request.method, request.path) == ("PUT", f"/v1/notices/{sent.id}")
    assert request.headers["idempotency-key"] == sent.id
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.body == canonical_json(sent.document())
    assert delivery == Delivery(
        receipt=f"http 201 {sent.id}",
        acknowledgements=tuple(Acknowledgement(measure=m.id, claim=Claim.ENFORCED) for m in sent.items),
    )


async def test_the_signed_order_goes_along(desk: HttpsDesk, channel: RestChannel, sent: Notice) -> None:
    sent = with_letter(sent)
    await channel.deliver(sent)
    body = json.loads(desk.requests[0].body)
    assert body == sent.document() | {"signed_order": LETTER.jws}
    assert body["documents"]["en"] == {"jws": "a" * 64, "pdf": "b" * 64}


async def test_the_token_is_read_when_it_is_used(desk: HttpsDesk, channel: RestChannel, folder: Path) -> None:
    (folder / "token").write_text("an old one")
    with pytest.raises(Unavailable):  # not one word
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    (folder / "token").write_text("old")
    with pytest.raises(Refused) as refused:
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert refused.value.code == "http_401"
    (folder / "token").write_text(TOKEN)
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))


async def test_neither_proxy_nor_netrc_of_the_machine_is_used(
    desk: HttpsDesk, channel: RestChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert desk.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "garbage",
    [
        status(200),
        status(204),
        status(202, b"accepted"),
        status(200, b"<html><h1>Welcome</h1></html>", "Content-Type: text/html"),
        status(200, b"\xff\xfe\x00", "Content-Type: application/json"),
        status(200, b"[" * 60_000),
        answer([]),
        answer({"notice": None, "items": []}),
        answer({"notice": "another", "items": []}),
        answer({"items": []}),
        answer("yes"),
        status(200, b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"),
    ],
    ids=["empty", "204", "text", "html", "no utf-8", "deep", "list", "null", "other", "no id", "string", "packed"],
)
async def test_an_answer_that_cannot_be_read_is_a_delivery_all_the_same(
    desk: HttpsDesk, channel: RestChannel, sent: Notice, garbage: Answer
) -> None:
    desk.script.append(garbage)
    delivery = await channel.deliver(sent)
    assert delivery.acknowledgements == ()
    assert "; nothing acknowledged: " in delivery.receipt


async def test_an_endless_body_is_read_to_its_bound_and_is_a_delivery(
    desk: HttpsDesk, channel: RestChannel, sent: Notice
) -> None:
    desk.script.append(flood)
    delivery = await channel.deliver(sent)
    assert delivery.receipt == f"http 200 {sent.id}; nothing acknowledged: more than {MAX_ANSWER} bytes"


async def test_only_the_measures_of_the_notice_are_acknowledged(
    desk: HttpsDesk, channel: RestChannel, sent: Notice
) -> None:
    mine, other = sent.items[0].id, notice(Action.BLOCK, new_target()).items[0].id
    items = [
        {"measure": other, "claim": "enforced"},
        {"measure": mine, "claim": "rejected", "code": "would_overblock", "note": "more than was asked"},
        {"measure": mine, "claim": "enforced"},
        {"measure": sent.items[1].id, "claim": "perhaps"},
        {"measure": sent.items[1].id, "claim": "accepted", "code": "x" * 65},
        {"claim": "enforced"},
        "enforced",
        None,
    ]
    desk.script.append(answer({"notice": sent.id, "items": items}))
    with structlog.testing.capture_logs() as logs:
        delivery = await channel.deliver(sent)
    assert delivery.acknowledgements == (Acknowledgement(measure=mine, claim=Claim.REJECTED, code="would_overblock"),)
    assert [(line["event"], line["items"]) for line in logs] == [("acknowledgements_ignored", 7)]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 422])
async def test_an_answer_of_the_400s_is_final(desk: HttpsDesk, channel: RestChannel, sent: Notice, code: int) -> None:
    desk.script.append(status(code, b"items: \x1b[31mnot like this\n"))
    with pytest.raises(Refused, match=rf"answered {code} items:  \[31mnot like this") as refused:
        await channel.deliver(sent)
    assert refused.value.code == f"http_{code}"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(desk: HttpsDesk, channel: RestChannel, sent: Notice, code: int) -> None:
    desk.script.append(status(code, b"", f"Location: https://{desk.address}/v1/elsewhere"))
    with pytest.raises(Refused) as refused:
        await channel.deliver(sent)
    assert refused.value.code == f"http_{code}"
    assert len(desk.requests) == 1


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
async def test_an_isp_that_cannot_now_is_asked_again(
    desk: HttpsDesk, channel: RestChannel, sent: Notice, code: int
) -> None:
    desk.script.append(status(code, b"later"))
    with pytest.raises(Unavailable, match=f"answered {code} later") as away:
        await channel.deliver(sent)
    assert not isinstance(away.value, Throttled)
    assert len((await channel.deliver(sent)).acknowledgements) == 2


@pytest.mark.parametrize("code", [408, 425, 429, 500, 503])
async def test_an_isp_that_says_when_is_asked_again_then(
    desk: HttpsDesk, channel: RestChannel, sent: Notice, code: int
) -> None:
    desk.script.append(status(code, b"", "Retry-After: 7"))
    with pytest.raises(Throttled) as throttled:
        await channel.deliver(sent)
    assert throttled.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("fault", [drip, hang, cut], ids=lambda fault: fault.__name__)
async def test_an_answer_that_does_not_come_whole_and_in_time_is_unavailable(
    desk: HttpsDesk, folder: Path, sent: Notice, fault: Answer
) -> None:
    desk.script.append(fault)
    channel = _channel(desk.address, folder, deadline_seconds=0.5)
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await channel.deliver(sent)
    await channel.deliver(sent)
    assert len(desk.taken) == 1


async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(desk: HttpsDesk, folder: Path, sent: Notice) -> None:
    trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await _channel(desk.address, folder).deliver(sent)
    assert desk.requests == []


async def test_trust_that_cannot_be_read_waits_for_a_person(desk: HttpsDesk, folder: Path, sent: Notice) -> None:
    channel = _channel(desk.address, folder)
    good = (folder / "ca.pem").read_text()
    (folder / "ca.pem").write_text("not a certificate")
    with pytest.raises(Unavailable, match=r"ca\.pem"):
        await channel.deliver(sent)
    (folder / "ca.pem").write_text(good)
    await channel.deliver(sent)


async def test_no_error_shows_the_token(desk: HttpsDesk, channel: RestChannel, sent: Notice) -> None:
    desk.script.extend([status(403), status(503), cut])
    for _ in range(3):
        with pytest.raises((Refused, Unavailable)) as failed:
            await channel.deliver(sent)
        assert TOKEN not in repr(failed.value) + repr(failed.value.__cause__)


NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), timedelta(minutes=5)),
        ("Tue, 24 Nov 2026 15:05:00 -0000", timedelta(minutes=5)),
        ("0", timedelta(seconds=1)),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), timedelta(seconds=1)),
        ("99999", LONGEST_WAIT),
        ("9" * 5000, LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Tue, 99 Nov 2026 15:05:00 GMT", None),
        (None, None),
    ],
)
def test_when_to_come_back(value: str | None, wait: timedelta | None) -> None:
    assert retry_after(value, NOW) == wait


@pytest.mark.parametrize(
    "url",
    [
        "http://api.test",
        "https://",
        "https://user:pw@api.test",
        "https://api.test?x=1",
        "https://api.test#x",
        "api.test",
        "https://[::1",
        "https://api.test:99999",
        "https://api.test:port",
        "https://a\x00b.test",
    ],
)
def test_the_address_is_bare_https(url: str) -> None:
    with pytest.raises(ValidationError):
        RestChannel.Options.model_validate({"url": url, "token_file": "token"})
