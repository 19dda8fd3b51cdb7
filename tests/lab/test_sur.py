"""ISP sur: an order that comes by mail is worked off by the desk; what is no order is kept and said so."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from email.message import EmailMessage

import aiosmtplib
import pytest

from lab.isps.sur import Sur
from lab.lab import Lab
from lab.names import ABUSE_DESK, SENDER
from precinto.domain.model import canonical_json
from precinto.domain.notification import Action, Notice
from tests.lab.notices import new_order, notice

TARGET = "flvto.biz"


@pytest.fixture
async def sur(lab: Lab) -> AsyncGenerator[Sur]:
    """The ISP, honest and without a backlog before and after; its desk works at once unless a test says otherwise."""
    usual, lab.sur.delay = lab.sur.delay, 0.0
    yield lab.sur
    lab.sur.behaviour.honest()
    await lab.sur.idle()
    lab.sur.delay = usual
    assert await lab.sur.enforcement.lift_all() == frozenset()


def mail(content: Notice | bytes, sender: str = SENDER, recipient: str = ABUSE_DESK) -> EmailMessage:
    """A mail with an order attached."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, recipient, "Orden"
    message.set_content("La orden va adjunta.")
    document = canonical_json(content.document()) if isinstance(content, Notice) else content
    message.add_attachment(document, maintype="application", subtype="json", filename="notice.json")
    return message


async def send(lab: Lab, message: EmailMessage) -> str:
    """Send a mail as the authority's channel does; returns the server's answer."""
    _, answer = await aiosmtplib.send(message, hostname=lab.mail.address, port=lab.mail.port, start_tls=False)
    return answer


async def test_an_order_is_worked_off_after_a_while(lab: Lab, sur: Sur) -> None:
    sur.delay = 1.0
    order = new_order()
    block, release = notice("sur", order, TARGET), notice("sur", order, TARGET, action=Action.RELEASE)
    assert "taken as" in await send(lab, mail(block))
    assert (await lab.resolve("sur", TARGET)).rcode == "NOERROR"
    await sur.idle()
    for name in (TARGET, f"www.{TARGET}"):
        assert (await lab.resolve("sur", name)).rcode == "NXDOMAIN"
        assert (await lab.resolve("andes", name)).rcode == "NOERROR"
    sur.delay = 0.0
    await send(lab, mail(release))
    await sur.idle()
    assert (await lab.resolve("sur", f"www.{TARGET}")).rcode == "NOERROR"


async def test_a_message_is_kept_as_it_came(lab: Lab, sur: Sur) -> None:
    sent = mail(notice("sur", new_order(), TARGET, action=Action.RELEASE))
    await send(lab, sent)
    kept = lab.mailbox.messages[-1]
    assert kept.path.suffix == ".eml"
    assert kept.path.read_bytes() == kept.content
    assert sent["Subject"].encode() in kept.content
    assert kept.sender == SENDER


async def test_a_repetition_is_one_order_and_two_lines(lab: Lab, sur: Sur) -> None:
    order = new_order()
    block = notice("sur", order, TARGET)
    for _ in range(2):
        await send(lab, mail(block))
    await send(lab, mail(notice("sur", order, TARGET, action=Action.RELEASE)))
    assert [(entry.repeated, entry.taken) for entry in sur.journal.of(block.id)] == [(False, True), (True, True)]
    assert [entry.notice for entry in sur.journal.taken()].count(block.id) == 1
    lines = sur.journal.path.read_text().splitlines()
    assert len(lines) == len(sur.journal.entries)
    assert sum(block.id in line for line in lines) == 2


async def test_a_desk_that_lies_wakes_up_at_the_reminder(lab: Lab, sur: Sur) -> None:
    order = new_order()
    sur.behaviour.lie(Action.BLOCK)
    await send(lab, mail(notice("sur", order, TARGET)))
    await sur.idle()
    assert (await lab.resolve("sur", TARGET)).rcode == "NOERROR"
    await send(lab, mail(notice("sur", order, TARGET, reminder=1)))
    await sur.idle()
    assert (await lab.resolve("sur", TARGET)).rcode == "NXDOMAIN"
    await send(lab, mail(notice("sur", order, TARGET, action=Action.RELEASE)))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (mail(b"{}"), "v: Field required"),
        (mail(b"no json"), "document"),
        (mail(b"[" * 100_000), "document"),
        (mail(notice("andes", new_order(), TARGET)), "isp: this is sur, not andes"),
        (mail(canonical_json(notice("sur", new_order(), TARGET).document() | {"items": []})), "items"),
        (
            mail(canonical_json(notice("sur", new_order(), "flvto.biz redirect\nlocal_zone gob.pe").document())),
            "items.0.target",
        ),
    ],
    ids=["empty", "no json", "nested", "another ISP", "no items", "a command in a name"],
)
async def test_what_is_no_order_is_put_aside(lab: Lab, sur: Sur, message: EmailMessage, reason: str) -> None:
    before = len(sur.journal.entries)
    await send(lab, message)
    assert sur.unread[-1].reason.startswith(reason)
    assert sur.unread[-1].path == lab.mailbox.messages[-1].path
    assert len(sur.journal.entries) == before


async def test_a_mail_without_the_attachment_is_put_aside(lab: Lab, sur: Sur) -> None:
    message = EmailMessage()
    message["From"], message["To"] = SENDER, ABUSE_DESK
    message.set_content("hello")
    await send(lab, message)
    assert sur.unread[-1].reason == "0 attachments are called notice.json"


async def test_a_stranger_and_a_wrong_mailbox_are_turned_away(lab: Lab) -> None:
    order = notice("sur", new_order(), TARGET)
    with pytest.raises(aiosmtplib.SMTPSenderRefused, match="550"):
        await send(lab, mail(order, sender="somebody@pirate.test"))
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="550"):
        await send(lab, mail(order, recipient="boss@sur.test"))


async def test_greylisting_puts_a_message_off(lab: Lab, sur: Sur) -> None:
    release = mail(notice("sur", new_order(), TARGET, action=Action.RELEASE))
    lab.mailbox.greylist()
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match="451"):
        await send(lab, release)
    assert "taken as" in await send(lab, release)
