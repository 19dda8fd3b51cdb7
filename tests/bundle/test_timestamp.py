"""Time-stamp tokens, checked against tokens that ``openssl ts`` made."""

from __future__ import annotations

import contextlib
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.timestamps import Clock
from precinto.bundle.timestamp import LARGEST, check_token
from precinto.bundle.trust import read_certificates
from precinto.domain.errors import Refused
from tests.bundle.sealing import stamped, with_certificate

CONTENT = b"signature"


@pytest.fixture(scope="module")
async def token(clocks: dict[str, Clock]) -> bytes:
    """A token of uno."""
    return await stamped(clocks["uno"], CONTENT)


@pytest.fixture(scope="module")
def root(clocks: dict[str, Clock]) -> tuple[x509.Certificate, ...]:
    """The root of uno."""
    return read_certificates(clocks["uno"].ca)


def refusal(token: bytes, anchors: tuple[x509.Certificate, ...], content: bytes = CONTENT) -> str:
    """Why a token is refused."""
    with pytest.raises(Refused) as refused:
        check_token(token, content, anchors)
    assert refused.value.code == "bad_timestamp"
    return refused.value.reason


def impostor(signer: x509.Certificate) -> x509.Certificate:
    """A made-up certificate of the same issuer and serial number, which nobody issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .issuer_name(signer.issuer)
        .subject_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(signer.serial_number)
        .not_valid_before(signer.not_valid_before_utc)
        .not_valid_after(signer.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .sign(key, hashes.SHA256())
    )


def test_a_good_one(token: bytes, root: tuple[x509.Certificate, ...]) -> None:
    good = check_token(token, CONTENT, root)
    assert good.signer.subject.rfc4514_string() == r"CN=Time of the lab\, uno"
    assert good.at.tzinfo is not None


def test_one_with_a_needless_certificate_along(
    token: bytes, root: tuple[x509.Certificate, ...], clocks: dict[str, Clock]
) -> None:
    """Authorities send their chains; what matters is whom whoever checks trusts."""
    foreign = read_certificates(clocks["tres"].ca)[0]
    assert check_token(with_certificate(token, foreign), CONTENT, root).at
    assert "certificate verify error" in refusal(with_certificate(token, root[0]), (foreign,))


def test_one_of_another_authority(token: bytes, clocks: dict[str, Clock]) -> None:
    assert "unable to get local issuer certificate" in refusal(token, read_certificates(clocks["dos"].ca))


def test_over_other_bytes(token: bytes, root: tuple[x509.Certificate, ...]) -> None:
    assert "Mismatch between messages" in refusal(token, root, b"another")


def test_with_two_certificates_for_its_signer(token: bytes, root: tuple[x509.Certificate, ...]) -> None:
    """One might sign and the other be looked at: whoever has a certificate of the same root could stamp."""
    signer = check_token(token, CONTENT, root).signer
    reason = refusal(with_certificate(token, impostor(signer)), root)
    assert reason == "2 certificates of its signer came along, in place of one"


@pytest.mark.parametrize("content", [b"", b"\x30\x80", b"nonsense", bytes(LARGEST + 1)])
def test_what_is_no_token(root: tuple[x509.Certificate, ...], content: bytes) -> None:
    assert refusal(content, root)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_whatever_it_is_made_into_it_is_refused_or_says_the_same(
    token: bytes, root: tuple[x509.Certificate, ...]
) -> None:
    """A few bytes of a token are covered by nothing; the chain of custody covers them with its digest."""
    chance, good = random.Random(1), check_token(token, CONTENT, root)  # noqa: S311 - chance that can be repeated
    for _ in range(4_000):
        spoiled = bytearray(token)
        spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        with contextlib.suppress(Refused):
            assert check_token(bytes(spoiled), CONTENT, root) == good
