"""The mail channel against a real SMTP server that answers as it is told."""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from precinto.adapters.channels.smtp import SmtpChannel
from precinto.domain.errors import PrecintoError, Refused, Unavailable
from precinto.domain.model import canonical_json
from precinto.domain.notification import Action, notice_id
from tests.adapters.mail_desk import DROP, HANG, LOSE, MailDesk, attachment_of, mail_desk
from tests.contract.channel_kit import ChannelContract
from tests.contract.notices import LETTER, new_target, notice, with_letter

SENDER, RECIPIENT = "orders@autoridad.test", "abuse@isp.test"


def _channel(address: str, folder: Path, **changed: Any) -> SmtpChannel:
    options = {"server": address, "sender": SENDER, "recipient": RECIPIENT, "deadline_seconds": 5}
    return SmtpChannel("isp", SmtpChannel.Options.model_validate(options | changed), folder)


class MailBox:
    """The desk as the contract sees it: it does what the mails say, each notice once."""

    def __init__(self, desk: MailDesk, folder: Path) -> None:
        self._desk = desk
        self._folder = folder
        self.channel = _channel(desk.address, folder)

    async def blocked(self) -> set[str]:
        blocked: set[str] = set()
        for sent in self._desk.notices():
            targets = {item["target"] for item in sent["items"]}
            blocked = blocked | targets if sent["action"] == "block" else blocked - targets
        return blocked

    async def acts(self) -> int:
        return len({mail["Message-ID"] for mail in self._desk.mails})

    def channel_at(self, address: str) -> SmtpChannel:
        return _channel(address, self._folder, deadline_seconds=0.5)


@pytest.fixture
async def desk() -> AsyncGenerator[MailDesk]:
    async with mail_desk() as opened:
        yield opened


@pytest.fixture
def channel(desk: MailDesk, tmp_path: Path) -> SmtpChannel:
    return _channel(desk.address, tmp_path)


class TestSmtpChannel(ChannelContract):
    """The contract, kept by mail."""

    @pytest.fixture
    async def desk(self, tmp_path: Path) -> AsyncGenerator[MailBox]:
        async with mail_desk() as opened:
            yield MailBox(opened, tmp_path)


async def test_the_mail_is_a_text_for_people_and_the_notice_for_a_machine(
    desk: MailDesk, channel: SmtpChannel
) -> None:
    sent = notice(Action.BLOCK, "flvto.biz", "xn--pea-rma.test")
    await channel.deliver(sent)
    (mail,) = desk.mails
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (SENDER, RECIPIENT, "auto-generated")
    assert mail["Subject"] == f"Orden de bloqueo {sent.order}"
    assert mail["Message-ID"] == f"<{sent.id}@autoridad.test>"
    assert email.utils.parsedate_to_datetime(mail["Date"]).tzinfo is not None
    assert attachment_of(mail) == canonical_json(sent.document())
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for line in (
        f"Orden:          {sent.order}",
        f"Notificación:   {sent.id}",
        "Acción:         bloquear",
        "Vigencia:       desde 2026-11-24 15:00 UTC hasta 2027-05-23 15:00 UTC",
        f"  - flvto.biz (método: DNS; medida {sent.items[0].id})",
        f"  - xn--pea-rma.test (método: DNS; medida {sent.items[1].id})",
        f"Consultas y recursos contra esta orden: {SENDER}",
    ):
        assert line in text.splitlines()


async def test_the_order_goes_along_as_a_letter_and_signed(desk: MailDesk, channel: SmtpChannel) -> None:
    sent = with_letter(notice(Action.BLOCK, "flvto.biz", order="2026-000001"))
    await channel.deliver(sent)
    (mail,) = desk.mails
    assert attachment_of(mail) == canonical_json(sent.document())
    attached = {part.get_filename(): (part.get_content_type(), part.get_content()) for part in mail.iter_attachments()}
    assert attached["order-2026-000001-v1.pdf"] == ("application/pdf", LETTER.pdf)
    assert attached["order-2026-000001-v1.jws"] == ("application/jose", LETTER.jws.encode())
    body = mail.get_body(("plain",))
    assert body is not None
    assert "como carta en order-2026-000001-v1.pdf" in body.get_content()


async def test_a_release_without_a_document_promises_none(desk: MailDesk, channel: SmtpChannel) -> None:
    await channel.deliver(notice(Action.RELEASE, "flvto.biz"))
    (mail,) = desk.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert ".pdf" not in body.get_content()
    assert [part.get_filename() for part in mail.iter_attachments()] == ["notice.json"]


async def test_a_release_says_so(desk: MailDesk, channel: SmtpChannel) -> None:
    await channel.deliver(notice(Action.RELEASE, "flvto.biz"))
    body = desk.mails[0].get_body(("plain",))
    assert body is not None
    assert "Acción:         levantar el bloqueo" in body.get_content()
    assert "Bloquee" not in body.get_content()


async def test_a_reminder_belongs_to_the_first_mail(desk: MailDesk, channel: SmtpChannel) -> None:
    sent = notice(Action.BLOCK, "flvto.biz", reminder=2)
    await channel.deliver(sent)
    (mail,) = desk.mails
    assert mail["Subject"] == f"Recordatorio 2: Orden de bloqueo {sent.order}"
    assert mail["References"] == f"<{notice_id(sent.order, 1, 'isp', 0)}@autoridad.test>"


async def test_the_contact_for_redress_can_be_another(desk: MailDesk, tmp_path: Path) -> None:
    await _channel(desk.address, tmp_path, contact="mesa de partes, +51 1 000 0000").deliver(
        notice(Action.BLOCK, "flvto.biz")
    )
    body = desk.mails[0].get_body(("plain",))
    assert body is not None
    assert "contra esta orden: mesa de partes, +51 1 000 0000" in body.get_content()


async def test_the_receipt_is_the_message_id_and_the_servers_answer(channel: SmtpChannel) -> None:
    sent = notice(Action.BLOCK, "flvto.biz")
    delivery = await channel.deliver(sent)
    assert delivery.receipt == f"<{sent.id}@autoridad.test> 250 2.0.0 queued as   [31m1"


async def test_a_250_acknowledges_nothing(channel: SmtpChannel) -> None:
    assert (await channel.deliver(notice(Action.BLOCK, "flvto.biz"))).acknowledgements == ()


async def test_the_envelope_names_the_notice_where_the_server_knows_how(
    desk: MailDesk, channel: SmtpChannel, tmp_path: Path
) -> None:
    sent = notice(Action.BLOCK, "flvto.biz")
    await channel.deliver(sent)
    assert desk.parameters == [f"ENVID={sent.id} RET=HDRS"]
    async with mail_desk(dsn=False) as plain:
        await _channel(plain.address, tmp_path).deliver(sent)
        assert len(plain.mails) == 1


async def test_the_client_has_a_name_that_no_resolver_was_asked_for(desk: MailDesk, channel: SmtpChannel) -> None:
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert desk.names == ["autoridad.test"]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("code", [421, 451, 452])
async def test_a_greylisted_mail_goes_out_later_and_once(
    desk: MailDesk, channel: SmtpChannel, command: str, code: int
) -> None:
    desk.script[command].append(f"{code} 4.7.1 come back later")
    with pytest.raises(Unavailable, match=rf"answered {code} 4\.7\.1 come back later"):
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert len(desk.mails) == 1


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_550_is_final(desk: MailDesk, channel: SmtpChannel, command: str) -> None:
    desk.script[command].append("550 5.1.1 no such user")
    with pytest.raises(Refused, match=r"answered 550 5\.1\.1 no such user") as refused:
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert refused.value.code == "smtp_550"
    assert desk.mails == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("fault", [HANG, DROP])
async def test_a_server_that_fails_half_way_is_unavailable(
    desk: MailDesk, tmp_path: Path, command: str, fault: str
) -> None:
    desk.script[command].append(fault)
    channel = _channel(desk.address, tmp_path, deadline_seconds=0.5)
    with pytest.raises(Unavailable):
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert len(desk.mails) == 1


async def test_a_lost_answer_makes_a_second_mail_of_one_notice(desk: MailDesk, channel: SmtpChannel) -> None:
    desk.script["DATA"].append(LOSE)
    with pytest.raises(Unavailable):
        await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    await channel.deliver(notice(Action.BLOCK, "flvto.biz"))
    assert len(desk.mails) == 2
    assert len({mail["Message-ID"] for mail in desk.mails}) == 1
    assert attachment_of(desk.mails[0]) == attachment_of(desk.mails[1])


class TestStartTls:
    """Where the registry asks for STARTTLS, the mail is encrypted to a server that proves who it is, or stays here."""

    @pytest.fixture
    def tls(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @pytest.fixture
    def ca_file(self, authority: trustme.CA, tmp_path: Path) -> Path:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return tmp_path / "ca.pem"

    async def test_the_mail_is_encrypted(self, tls: ssl.SSLContext, ca_file: Path) -> None:
        async with mail_desk(tls=tls) as desk:
            channel = _channel(desk.address, ca_file.parent, starttls=True, ca_file="ca.pem")
            await channel.deliver(notice(Action.BLOCK, new_target()))
            assert desk.encrypted == [True]

    async def test_a_server_without_it_gets_nothing(self, desk: MailDesk, ca_file: Path) -> None:
        channel = _channel(desk.address, ca_file.parent, starttls=True, ca_file="ca.pem")
        with pytest.raises(Refused) as refused:
            await channel.deliver(notice(Action.BLOCK, new_target()))
        assert refused.value.code == "smtp_no_starttls"
        assert desk.mails == []

    async def test_a_server_that_cannot_prove_itself_gets_nothing(self, tls: ssl.SSLContext, tmp_path: Path) -> None:
        trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
        async with mail_desk(tls=tls) as desk:
            channel = _channel(desk.address, tmp_path, starttls=True, ca_file="other.pem")
            with pytest.raises(Unavailable, match=r"(?i)certificate"):
                await channel.deliver(notice(Action.BLOCK, new_target()))
            assert desk.mails == []

    @pytest.mark.parametrize("content", [None, "not a certificate"])
    async def test_trust_that_cannot_be_read_waits_for_a_person(
        self, tls: ssl.SSLContext, tmp_path: Path, content: str | None
    ) -> None:
        if content is not None:
            (tmp_path / "ca.pem").write_text(content)
        async with mail_desk(tls=tls) as desk:
            channel = _channel(desk.address, tmp_path, starttls=True, ca_file="ca.pem")
            with pytest.raises(PrecintoError, match=r"ca\.pem"):
                await channel.deliver(notice(Action.BLOCK, new_target()))


@pytest.mark.parametrize(
    "address", ["", "orders", "a@b@c", "Orders <a@b.test>", "a@b.test\r\nBcc: c@d.test", "ñ@b.test"]
)
def test_addresses_are_checked_when_the_registry_is_read(address: str) -> None:
    with pytest.raises(ValidationError):
        SmtpChannel.Options.model_validate({"server": "mx.isp.test:25", "sender": address, "recipient": RECIPIENT})
