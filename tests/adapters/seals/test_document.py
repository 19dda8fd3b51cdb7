"""Signed orders: good for anybody's library and for plain openssl, and refused when anything about them is changed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwcrypto import jwk, jws

from precinto.adapters.seals.document import LARGEST, DocumentSigner, verify_document
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.bundle.trust import read_certificates
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import document
from precinto.reports.order import RECIPE, TEMPLATES
from tests.bundle.certificates import Chain, issue_chain
from tests.orders import MOMENT, paper

ORDER = document(paper(), "es")
CONTENT = canonical_json(ORDER)
KEYS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "PS256": lambda: rsa.generate_private_key(65_537, 2_048),
}


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """A signing certificate below an issuer below a root."""
    return issue_chain(tmp_path)


@pytest.fixture
def forger(tmp_path: Path) -> Chain:
    """Another chain below another root, with the same names."""
    (tmp_path / "forger").mkdir()
    return issue_chain(tmp_path / "forger")


async def sign(chain: Chain, content: bytes = CONTENT) -> str:
    return await DocumentSigner(chain.key, chain.certificates).sign(content)


def verify(signed: str, chain: Chain) -> dict[str, Any]:
    return verify_document(signed, read_certificates(chain.root))


def b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unb64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def header(signed: str) -> dict[str, Any]:
    return json.loads(unb64url(signed.split(".", maxsplit=1)[0]))


def x5c(*files: Path) -> list[str]:
    """The certificates of these files as a header has them."""
    certificates = [one for file in files for one in read_certificates(file)]
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]


def signed_with(chain: Chain, content: bytes, **changes: Any) -> str:
    """What somebody with a key makes who is not careful: any header, any content."""
    key = jwk.JWK.from_pem(chain.key.read_bytes())
    heads = {"alg": "ES256", "typ": "precinto-order", "x5c": x5c(chain.certificates)} | changes
    token = jws.JWS(content)
    token.allowed_algs = ["ES256", "ES384", "PS256", "RS256", "HS256", "none"]
    token.add_signature(key, None, json.dumps({name: one for name, one in heads.items() if one is not None}))
    return token.serialize(compact=True)


class TestSigned:
    async def test_it_says_what_was_signed(self, chain: Chain) -> None:
        assert verify(await sign(chain), chain) == ORDER

    @pytest.mark.parametrize("algorithm", KEYS)
    async def test_the_algorithm_is_that_of_the_key(self, algorithm: str, tmp_path: Path) -> None:
        chain = issue_chain(tmp_path, key=KEYS[algorithm]())
        signed = await sign(chain)
        assert header(signed)["alg"] == algorithm
        assert set(header(signed)) == {"alg", "typ", "x5c"}
        assert verify(signed, chain) == ORDER

    @pytest.mark.parametrize("algorithm", KEYS)
    async def test_another_librarys_verifier_agrees(self, algorithm: str, tmp_path: Path) -> None:
        chain = issue_chain(tmp_path, key=KEYS[algorithm]())
        signed = await sign(chain)
        own = x509.load_der_x509_certificate(base64.b64decode(header(signed)["x5c"][0]))
        key = jwk.JWK()
        key.import_from_pyca(own.public_key())
        token = jws.JWS()
        token.deserialize(signed)
        token.verify(key, alg=algorithm)
        assert token.payload == CONTENT

    @pytest.mark.parametrize("algorithm", KEYS)
    async def test_the_commands_on_the_letter_check_it_without_us(self, algorithm: str, tmp_path: Path) -> None:
        chain = issue_chain(tmp_path, key=KEYS[algorithm]())
        done = by_hand(tmp_path / "empty", await sign(chain), chain.root)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"chain.pem: OK|Verified OK", done.stdout) == ["chain.pem: OK", "Verified OK"]
        assert digest(CONTENT) in done.stdout.splitlines()[-1]
        assert (tmp_path / "empty" / "order.json").read_bytes() == CONTENT

    async def test_the_sealing_identity_of_an_installation_signs_orders(self, tmp_path: Path) -> None:
        identity = issue_sealing_identity(tmp_path, "autoridad")
        signed = await DocumentSigner(identity.key, identity.certificates).sign(CONTENT)
        assert verify_document(signed, read_certificates(identity.root)) == ORDER
        assert by_hand(tmp_path / "empty", signed, identity.root).returncode == 0

    async def test_an_order_of_as_many_targets_as_there_may_be(self, chain: Chain) -> None:
        names = [f"{'a' * 60}.{n}.{'b' * 60}.example" for n in range(10_000)]
        signed = await sign(chain, canonical_json(document(paper(names), "es")))
        assert len(signed) < LARGEST
        assert len(verify(signed, chain)["locations"]) == 10_000

    async def test_a_key_on_a_curve_that_is_not_nists_signs_nothing(self, tmp_path: Path) -> None:
        odd = issue_chain(tmp_path, key=ec.generate_private_key(ec.SECP256K1()))
        with pytest.raises(Unavailable, match="signs no documents"):
            await sign(odd)


class TestRefused:
    async def test_another_content_under_the_signature(self, chain: Chain) -> None:
        head, _, signature = (await sign(chain)).split(".")
        other = canonical_json(document(paper(["other.example"]), "es"))
        with pytest.raises(Refused, match="does not fit") as refused:
            verify(f"{head}.{b64url(other)}.{signature}", chain)
        assert refused.value.code == "bad_signature"
        assert by_hand(chain.key.parent / "empty", f"{head}.{b64url(other)}.{signature}", chain.root).returncode != 0

    async def test_a_signature_with_one_bit_changed(self, chain: Chain) -> None:
        head, payload, signature = (await sign(chain)).split(".")
        spoiled = bytearray(unb64url(signature))
        spoiled[-1] ^= 1
        with pytest.raises(Refused, match="does not fit"):
            verify(f"{head}.{payload}.{b64url(bytes(spoiled))}", chain)

    async def test_one_who_brings_certificates_of_his_own(self, chain: Chain, forger: Chain, tmp_path: Path) -> None:
        signed = await sign(forger)
        assert verify(signed, forger) == ORDER
        with pytest.raises(Refused) as refused:
            verify(signed, chain)
        assert refused.value.code == "untrusted_signer"
        assert by_hand(tmp_path / "empty", signed, chain.root).returncode != 0

    def test_one_who_puts_his_root_into_the_document(self, chain: Chain, forger: Chain) -> None:
        with pytest.raises(Refused) as refused:
            verify(signed_with(forger, CONTENT, x5c=x5c(forger.certificates, forger.root)), chain)
        assert refused.value.code == "untrusted_signer"

    def test_another_certificate_than_that_of_the_key(self, chain: Chain, forger: Chain) -> None:
        x5c = [
            base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in read_certificates(chain.certificates)
        ]
        with pytest.raises(Refused, match="does not fit"):
            verify(signed_with(forger, CONTENT, x5c=x5c), chain)

    def test_a_certificate_that_was_not_valid_at_the_time_of_issue(self, tmp_path: Path) -> None:
        expired = issue_chain(tmp_path, until=datetime.now(UTC) - timedelta(days=1))
        signed = signed_with(expired, CONTENT)
        with pytest.raises(Refused, match="was not valid at") as refused:
            verify(signed, expired)
        assert refused.value.code == "untrusted_signer"

    def test_a_certificate_that_has_run_out_since_is_no_reason(self, tmp_path: Path) -> None:
        expired = issue_chain(tmp_path, until=datetime.now(UTC) - timedelta(days=1))
        content = document(paper(issued_at=MOMENT - timedelta(days=10)), "es")
        assert verify(signed_with(expired, canonical_json(content)), expired) == content

    @pytest.mark.parametrize(
        "change",
        [
            {"typ": "precinto-decision"},
            {"typ": None},
            {"x5c": None},
            {"x5c": []},
            {"x5c": ["AAAA"]},
            {"x5c": ["%"]},
            {"kid": "1"},
            {"jku": "https://forger.example/keys"},
            {"crit": ["exp"], "exp": 1},
        ],
        ids=str,
    )
    def test_another_header_than_the_one(self, chain: Chain, change: dict[str, Any]) -> None:
        heads = {"alg": "ES256", "typ": "precinto-order", "x5c": x5c(chain.certificates)} | change
        head = b64url(json.dumps({name: one for name, one in heads.items() if one is not None}).encode())
        with pytest.raises(Refused) as refused:
            verify(f"{head}.{b64url(CONTENT)}.{b64url(bytes(64))}", chain)
        assert refused.value.code == "bad_signature"
        assert refused.value.reason.startswith("its ")

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES384", "es256"])
    async def test_an_algorithm_that_is_not_the_keys(self, chain: Chain, algorithm: str) -> None:
        heads, (_, payload, signature) = header(await sign(chain)), (await sign(chain)).split(".")
        head = b64url(json.dumps(heads | {"alg": algorithm}).encode())
        with pytest.raises(Refused, match="its algorithm is not ES256"):
            verify(f"{head}.{payload}.{signature}", chain)

    def test_a_certificate_of_a_version_that_there_is_not(self, chain: Chain) -> None:
        own = base64.b64decode(x5c(chain.certificates)[0])
        odd = base64.b64encode(own.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)).decode()
        with pytest.raises(Refused, match="its certificates: 9 is not a valid X509 version"):
            verify(signed_with(chain, CONTENT, x5c=[odd]), chain)

    async def test_a_name_that_stands_twice_in_the_header(self, chain: Chain) -> None:
        head, payload, signature = (await sign(chain)).split(".")
        twice = unb64url(head)[:-1] + b',"alg":"ES256"}'
        with pytest.raises(Refused, match="stands twice"):
            verify(f"{b64url(twice)}.{payload}.{signature}", chain)

    @pytest.mark.parametrize(
        "content",
        [
            json.dumps(ORDER).encode(),
            CONTENT + b"\n",
            CONTENT[:-1] + b',"v":1}',
            canonical_json(ORDER | {"format": "precinto.notice"}),
            canonical_json(ORDER | {"v": 2}),
            canonical_json(ORDER | {"issued_at": "2026-11-25T14:30:00"}),
            canonical_json({key: value for key, value in ORDER.items() if key != "issued_at"}),
            json.dumps(ORDER | {"version": 1.5}, sort_keys=True, separators=(",", ":")).encode(),
            b"[]",
            b"no JSON",
            b'{"a":' * 100_000,
        ],
        ids=range(11),
    )
    def test_what_was_signed_but_is_no_order(self, chain: Chain, content: bytes) -> None:
        with pytest.raises(Refused) as refused:
            verify(signed_with(chain, content), chain)
        assert refused.value.code in {"not_an_order", "bad_signature"}

    def test_fields_of_a_later_edition_are_let_through(self, chain: Chain) -> None:
        later = ORDER | {"annexes": ["one"]}
        assert verify(signed_with(chain, canonical_json(later)), chain) == later

    @pytest.mark.parametrize("text", ["", ".", "a.b", "a.b.c.d", "é.é.é", "a" * (LARGEST + 1)], ids=range(6))
    def test_what_is_no_jws(self, chain: Chain, text: str) -> None:
        with pytest.raises(Refused) as refused:
            verify(text, chain)
        assert refused.value.code == "bad_signature"

    async def test_another_spelling_of_the_same_bytes(self, chain: Chain) -> None:
        signed = await sign(chain)
        for other in (signed + "=", signed + "\n", signed.replace(".", ". ", 1)):
            with pytest.raises(Refused, match="base64url"):
                verify(other, chain)


def by_hand(folder: Path, signed: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Do what the letter says, in an empty folder."""
    folder.mkdir()
    (folder / "order.jws").write_text(signed + "\n")
    (folder / "root.pem").write_bytes(root.read_bytes())
    script = (TEMPLATES / RECIPE).read_text(encoding="utf-8")
    return subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
