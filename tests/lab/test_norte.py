"""ISP norte: what is written into the authority's policy zone, its customers feel; and what is taken out again."""

from __future__ import annotations

import dns.asyncquery
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest

from lab.lab import Lab
from lab.names import NORTE_KEY, RPZ_ZONE, UPDATER_KEY
from tests.lab.notices import until

TARGET = "yout.com"


async def update(lab: Lab, *, block: bool, key: str = UPDATER_KEY) -> dns.rcode.Rcode:
    """Put the target under policy at the primary, or take it out."""
    keyring = dns.tsigkeyring.from_text({key: lab.updater_secret})
    message = dns.update.UpdateMessage(
        RPZ_ZONE, keyring=keyring, keyname=dns.name.from_text(key), keyalgorithm=dns.tsig.HMAC_SHA256
    )
    for owner in (TARGET, f"*.{TARGET}"):
        message.delete(owner)
        if block:
            message.add(owner, 60, "CNAME", ".")
    reply = await dns.asyncquery.tcp(message, lab.primary.address, port=lab.primary.port, timeout=5)
    return reply.rcode()


async def test_customers_feel_a_rule_and_its_end(lab: Lab) -> None:
    async def blocked() -> bool:
        return [(await lab.resolve("norte", name)).rcode for name in (TARGET, f"www.{TARGET}")] == ["NXDOMAIN"] * 2

    async def open_again() -> bool:
        return (await lab.resolve("norte", TARGET)).rcode == "NOERROR"

    before = await lab.norte.serial()
    assert await open_again()
    assert await update(lab, block=True) == dns.rcode.NOERROR
    await until(blocked)
    assert await lab.norte.names() == (f"*.{TARGET}", TARGET)
    assert await lab.norte.serial() != before
    assert (await lab.resolve("sur", TARGET)).rcode == "NOERROR"
    assert await update(lab, block=False) == dns.rcode.NOERROR
    await until(open_again)
    assert await lab.norte.names() == ()


async def test_a_key_with_a_wrong_secret_changes_nothing(lab: Lab) -> None:
    """The ISP's own key has another secret than the updater's."""
    with pytest.raises(dns.tsig.PeerBadSignature):
        await update(lab, block=True, key=NORTE_KEY)
    assert await lab.norte.names() == ()
