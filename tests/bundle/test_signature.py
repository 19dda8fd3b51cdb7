"""Detached signatures: the narrow profile, and all that ``openssl`` would take beside it."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import NameOID

from precinto.bundle.signature import LARGEST, check_signature
from precinto.bundle.trust import check_trusted, read_certificates
from precinto.domain.errors import Refused
from tests.bundle.certificates import Chain, issue_chain

CONTENT = b'{"case":"ws5ksqpoov-1"}'


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A signing certificate below an issuer below a root."""
    return issue_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
async def signature(theirs: Chain) -> bytes:
    """A good signature."""
    return await theirs.sealer.sign(CONTENT)


def refusal(signature: bytes, content: bytes = CONTENT) -> str:
    """Why a signature is refused."""
    with pytest.raises(Refused) as refused:
        check_signature(signature, content)
    assert refused.value.code == "bad_signature"
    return refused.value.reason


def openssl(folder: Path, theirs: Chain, *options: str) -> bytes:
    """A signature by ``openssl cms -sign`` with these options."""
    (folder / "content").write_bytes(CONTENT)
    done = subprocess.run(
        [
            "openssl", "cms", "-sign", "-binary", "-in", folder / "content", "-signer", theirs.certificates,
            "-inkey", theirs.key, "-outform", "DER", *options,
        ],
        capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout


def signed_otherwise(theirs: Chain, *algorithms: hashes.SHA256 | hashes.SHA384) -> bytes:
    """A signature with one signer for each of these digests."""
    own, issuer = theirs.sealer.certificates
    builder = PKCS7SignatureBuilder().set_data(CONTENT).add_certificate(issuer)
    for algorithm in algorithms:
        builder = builder.add_signer(own, theirs.sealer.key, algorithm)
    options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
    return builder.sign(Encoding.DER, options)


class TestGood:
    async def test_signer_and_what_came_along(self, theirs: Chain, signature: bytes) -> None:
        read = check_signature(signature, CONTENT)
        assert (read.signer, read.others) == (theirs.sealer.certificates[0], theirs.sealer.certificates[1:])

    def test_by_openssl(self, theirs: Chain, tmp_path: Path) -> None:
        """What an authority signs with its own means is good too, in the same profile."""
        signed = openssl(tmp_path, theirs, "-md", "sha256", "-nosmimecap")
        assert check_signature(signed, CONTENT).signer == theirs.sealer.certificates[0]

    def test_for_openssl(self, theirs: Chain, signature: bytes, tmp_path: Path) -> None:
        (tmp_path / "signature").write_bytes(signature)
        (tmp_path / "content").write_bytes(CONTENT)
        subprocess.run(
            [
                "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "signature",
                "-content", tmp_path / "content", "-CAfile", theirs.root, "-out", "/dev/null",
            ],
            capture_output=True, check=True,
        )  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("-md", "sha256"), "the signed attribute 1.2.840.113549.1.9.15 has no place in a bundle"),
            (("-md", "sha512", "-nosmimecap"), "the digest is not SHA-256"),
            (("-md", "sha256", "-nosmimecap", "-nodetach"), "not one signer's SignedData in DER: "),
            (("-md", "sha256", "-noattr"), "not one signer's SignedData in DER: "),
            (("-md", "sha256", "-nosmimecap", "-nocerts"), "not one signer's SignedData in DER: "),
            (("-md", "sha256", "-nosmimecap", "-keyid"), "not one signer's SignedData in DER: "),
            (("-md", "sha256", "-nosmimecap", "-cades"), "the signed attribute 1.2.840.113549.1.9.16.2.47 has no"),
            (("-md", "sha256", "-nosmimecap", "-econtent_type", "1.2.3.4"), "not a detached signature over data"),
            (("-md", "sha256", "-nosmimecap", "-stream"), "not one signer's SignedData in DER: "),
        ],
        ids=lambda value: " ".join(value[2:]) if isinstance(value, tuple) else "",
    )
    def test_what_else_openssl_makes(
        self, theirs: Chain, tmp_path: Path, options: tuple[str, ...], complaint: str
    ) -> None:
        if "-stream" in options:
            options = (*options, "-nodetach")
        assert refusal(openssl(tmp_path, theirs, *options)).startswith(complaint)

    def test_two_signers(self, theirs: Chain) -> None:
        assert refusal(signed_otherwise(theirs, hashes.SHA256(), hashes.SHA256())).startswith("not one signer's")

    def test_another_digest(self, theirs: Chain) -> None:
        assert refusal(signed_otherwise(theirs, hashes.SHA384())) == "the digest is not SHA-256"

    def test_other_content(self, signature: bytes) -> None:
        assert refusal(signature, CONTENT + b" ") == "it is over other content"

    def test_another_form(self, signature: bytes) -> None:
        assert refusal(b"").startswith("not one signer's")
        assert refusal(signature + b"\0").startswith("not one signer's")
        assert refusal(signature[:-1]).startswith("not one signer's")
        assert refusal(bytes(LARGEST + 1)) == f"larger than {LARGEST} bytes"

    @pytest.mark.parametrize(
        "key",
        [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65_537, 1_024)],  # noqa: S505 - the point
        ids=["a curve of no standard", "a short RSA key"],
    )
    async def test_by_a_key_that_is_not_good_enough(
        self, tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    ) -> None:
        weak = issue_chain(tmp_path, key=key)
        assert refusal(await weak.sealer.sign(CONTENT)).startswith("neither ECDSA on a NIST curve nor RSA of 2048")

    def test_a_certificates_signature_has_one_form(self, theirs: Chain, signature: bytes) -> None:
        """How many of its last bits do not count can be told otherwise, where they are zero."""
        spoiled = bytearray(signature)
        at = signature.rindex(read_certificates(theirs.certificates)[0].signature) - 1
        assert spoiled[at] == 0
        spoiled[at] = 1
        with pytest.raises(Refused):
            check_signature(bytes(spoiled), CONTENT)

    @pytest.mark.filterwarnings("ignore:Parsed a serial number")
    def test_no_byte_may_differ(self, theirs: Chain, signature: bytes) -> None:
        """Whatever is not signed is fixed by the profile, or must lead to the root."""
        chance, root = random.Random(1), read_certificates(theirs.root)  # noqa: S311 - chance that can be repeated

        def check(spoiled: bytes) -> None:
            read = check_signature(spoiled, CONTENT)
            check_trusted(read.signer, read.others, root, datetime.now(UTC))

        check(signature)
        for _ in range(4_000):
            spoiled = bytearray(signature)
            spoiled[chance.randrange(len(spoiled))] ^= 1 << chance.randrange(8)
            with pytest.raises(Refused):
                check(bytes(spoiled))


class TestTrusted:
    def test_by_root_by_issuer_and_by_itself(self, theirs: Chain) -> None:
        own, issuer = theirs.sealer.certificates
        check_trusted(own, [issuer], read_certificates(theirs.root), datetime.now(UTC))
        check_trusted(own, [], [issuer], datetime.now(UTC))
        check_trusted(own, [], [own], datetime.now(UTC))

    def test_nothing_else_comes_along(self, theirs: Chain, tmp_path: Path) -> None:
        own, issuer = theirs.sealer.certificates
        stranger = read_certificates(issue_chain(tmp_path).root)[0]
        with pytest.raises(Refused, match="CN=Root came along and is no part of the signer's chain"):
            check_trusted(own, [issuer, stranger], read_certificates(theirs.root), datetime.now(UTC))

    def test_what_came_along_is_no_anchor(self, theirs: Chain, tmp_path: Path) -> None:
        """The signer's own root is among the certificates; the one who checks trusts another."""
        own, issuer = theirs.sealer.certificates
        along = [issuer, *read_certificates(theirs.root)]
        with pytest.raises(Refused, match="does not lead to a certificate that is trusted"):
            check_trusted(own, along, read_certificates(issue_chain(tmp_path).root), datetime.now(UTC))

    @pytest.mark.parametrize("tag", [b"\x02", b"\x03"], ids=["integer", "bit string"])
    def test_a_name_that_is_no_text_is_refused_and_breaks_nothing(self, theirs: Chain, tag: bytes) -> None:
        """Whoever made the bundle chose the certificate, and what its name is made of."""
        own, issuer = theirs.sealer.certificates
        odd = own.public_bytes(Encoding.DER).replace(b"\x0c\x09Authority", tag + b"\x09Authority")
        with pytest.raises(Refused, match="a certificate whose name cannot be read"):
            check_trusted(x509.load_der_x509_certificate(odd), [issuer], [issuer], datetime.now(UTC))

    def test_a_signer_is_no_issuer(self, theirs: Chain) -> None:
        """Who may sign documents for the authority may not make up others who may."""
        key, own = ec.generate_private_key(ec.SECP256R1()), theirs.sealer.certificates[0]
        now = datetime.now(UTC)
        forged = (
            x509.CertificateBuilder()
            .issuer_name(own.subject)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Forged")]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now.replace(year=now.year - 1))
            .not_valid_after(now.replace(year=now.year + 1))
            .sign(theirs.sealer.key, hashes.SHA256())
        )
        with pytest.raises(Refused, match="does not lead to a certificate that is trusted"):
            check_trusted(forged, theirs.sealer.certificates, read_certificates(theirs.root), now)
