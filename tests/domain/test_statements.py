"""Signed statements: anybody can verify one, nobody can change one, and there is one form of each."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import OKPKey
from jwcrypto import jwk, jws
from pydantic import ValidationError

from precinto.domain.errors import BadInput, Refused
from precinto.domain.model import canonical_json, digest
from precinto.domain.review import Outcome, Role
from precinto.domain.statements import (
    LARGEST_ENVELOPE,
    Enrolment,
    Statement,
    decode,
    encode,
    key_id,
    new_nonce,
    public_key,
    public_text,
    read,
    read_enrolment,
    sign,
    sign_enrolment,
    statement_id,
    verify,
    verify_enrolment,
)

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 25, 12, 0, 0, 250_000, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group in which signatures are made."""


def statement(**changed: Any) -> Statement:
    """A statement, with some fields chosen."""
    fields: dict[str, Any] = {
        "case": "ws5ksqpoov-1",
        "subject": digest(b"manifest"),
        "outcome": Outcome.APPROVE,
        "grounds": ("dl-822-art-37", "making_available"),
        "reasons": digest("Ofrece música protegida sin licencia.".encode()),
        "about": None,
        "actor": "reviewer-1",
        "role": Role.REVIEWER,
        "at": NOON,
        "nonce": "AAECAwQFBgcICQoLDA0ODw",
    }
    return Statement(**fields | changed)


ENVELOPE = sign(statement(), KEY)
HEADER, PAYLOAD, SIGNATURE = ENVELOPE.split(".")


def signed(header: bytes, payload: bytes) -> str:
    """An envelope of any header and payload; its signature holds."""
    content = f"{encode(header)}.{encode(payload)}"
    return f"{content}.{encode(KEY.sign(content.encode()))}"


def header(**changed: Any) -> bytes:
    """A header with some parameters chosen; None leaves one out."""
    whole = json.loads(decode(HEADER)) | changed
    return canonical_json({name: value for name, value in whole.items() if value is not None})


class TestAnEnvelope:
    def test_says_what_was_signed_and_with_which_key(self) -> None:
        assert read(ENVELOPE) == (statement(), key_id(KEY.public_key()))
        assert verify(ENVELOPE, PUBLIC) == statement()

    def test_is_verified_by_jwcrypto(self) -> None:
        """A library that knows nothing of us: what a court's expert would take."""
        token = jws.JWS()
        token.deserialize(ENVELOPE, jwk.JWK(kty="OKP", crv="Ed25519", x=public_text(KEY.public_key())), alg="EdDSA")
        assert Statement.model_validate_json(token.payload) == statement()

    def test_is_verified_as_the_reference_says(self, capsys: pytest.CaptureFixture[str]) -> None:
        page = (ROOT / "docs" / "reference" / "statements.md").read_text(encoding="utf-8")
        [shown] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        exec(shown, {"envelope": ENVELOPE, "public": public_text(KEY.public_key())})  # noqa: S102 - our own page
        assert capsys.readouterr().out.encode() == decode(PAYLOAD) + b"\n"

    def test_is_verified_by_joserfc(self) -> None:
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_text(KEY.public_key())})
        found = joserfc_jws.deserialize_compact(ENVELOPE, key, algorithms=["EdDSA"])
        assert Statement.model_validate_json(found.payload) == statement()

    def test_of_jwcrypto_is_taken_if_it_has_our_form(self) -> None:
        private = jwk.JWK(kty="OKP", crv="Ed25519", x=public_text(KEY.public_key()), d=encode(b"1" * 32))
        token = jws.JWS(decode(PAYLOAD))
        token.add_signature(private, alg="EdDSA", protected=decode(HEADER).decode())
        assert token.serialize(compact=True) == ENVELOPE

    def test_names_its_key_by_the_thumbprint_that_others_compute(self) -> None:
        assert (
            key_id(KEY.public_key()) == jwk.JWK(kty="OKP", crv="Ed25519", x=public_text(KEY.public_key())).thumbprint()
        )

    def test_the_thumbprint_of_the_standard(self) -> None:
        """RFC 8037, appendix A.3."""
        public = public_key(decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))
        assert key_id(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

    def test_has_an_id_that_anybody_computes(self) -> None:
        assert statement_id(ENVELOPE) == digest(ENVELOPE.encode())[:32]

    def test_of_the_same_statement_is_the_same(self) -> None:
        """Whatever zone the time was given in, and in whatever order the fields were."""
        elsewhere = NOON.astimezone(timezone(-timedelta(hours=5)))
        assert sign(statement(at=elsewhere), KEY) == ENVELOPE

    def test_of_the_longest_statement_is_still_read(self) -> None:
        longest = statement(case="€" * 64, about="€" * 64, actor="a" * 64, grounds=("g" * 40,) * 8, nonce="n" * 43)
        assert verify(sign(longest, KEY), PUBLIC) == longest


class TestNobodyChangesOne:
    def test_no_bit_can_be_flipped(self) -> None:
        """Every single bit of the whole envelope: header, payload, signature, and the dots between."""
        for at in range(len(ENVELOPE)):
            for bit in range(8):
                octets = bytearray(ENVELOPE.encode())
                octets[at] ^= 1 << bit
                with pytest.raises((BadInput, Refused)):
                    verify(octets.decode("latin-1"), PUBLIC)

    @pytest.mark.parametrize("cut", range(0, len(ENVELOPE), 41))
    def test_it_cannot_be_cut(self, cut: int) -> None:
        with pytest.raises(BadInput):
            verify(ENVELOPE[:cut], PUBLIC)

    @pytest.mark.parametrize("added", ["=", "==", " ", "\n", ".", "A", "\0", "é"])
    def test_nothing_can_be_added(self, added: str) -> None:
        for changed in (ENVELOPE + added, added + ENVELOPE, f"{HEADER}{added}.{PAYLOAD}.{SIGNATURE}"):
            with pytest.raises(BadInput):
                read(changed)

    def test_the_signature_of_another_statement_is_refused(self) -> None:
        other = sign(statement(outcome=Outcome.REJECT), KEY).split(".")
        with pytest.raises(Refused, match="not that of the key") as refused:
            verify(f"{HEADER}.{PAYLOAD}.{other[2]}", PUBLIC)
        assert refused.value.code == "forged"

    def test_the_key_of_somebody_else_is_refused(self) -> None:
        with pytest.raises(Refused, match="names the key") as refused:
            verify(ENVELOPE, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        assert refused.value.code == "forged"

    def test_a_second_form_of_the_same_signature_is_refused(self) -> None:
        """R stays, S becomes S + L: the same point, another envelope, which would be filed twice."""
        raw = decode(SIGNATURE)
        again = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
        with pytest.raises(Refused, match="one form") as refused:
            verify(f"{HEADER}.{PAYLOAD}.{encode(again)}", PUBLIC)
        assert refused.value.code == "forged"

    def test_unused_bits_of_base64_are_not_free(self) -> None:
        """64 bytes take 86 characters and leave four bits over; most decoders let them be anything."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = ENVELOPE[:-1] + alphabet[alphabet.index(ENVELOPE[-1]) ^ 1]
        assert encode(decode(SIGNATURE)) == SIGNATURE
        with pytest.raises(BadInput, match="base64url"):
            read(twin)


class TestOnlyOneHeader:
    @pytest.mark.parametrize(
        "changed",
        [
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": "Ed25519"},
            {"alg": "ES256"},
            {"alg": "eddsa"},
            {"alg": None},
            {"typ": "JWT"},
            {"typ": "precinto-enrolment"},
            {"typ": None},
            {"kid": None},
            {"kid": 7},
            {"kid": ""},
            {"kid": "AAAA"},
            {"crit": ["b64"], "b64": False},
            {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": public_text(KEY.public_key())}},
            {"jku": "https://example.com/keys"},
            {"x5c": []},
            {"zip": "DEF"},
        ],
        ids=str,
    )
    def test_another_one_is_refused_however_well_it_is_signed(self, changed: dict[str, Any]) -> None:
        with pytest.raises(BadInput, match="envelope"):
            verify(signed(header(**changed), decode(PAYLOAD)), PUBLIC)

    @pytest.mark.parametrize("other", [b"{}", b"[]", b"null", b"7", b"", b"{", b'{"kid":NaN}', b"[" * 2_000])
    def test_so_is_what_is_none(self, other: bytes) -> None:
        with pytest.raises(BadInput):
            verify(signed(other, decode(PAYLOAD)), PUBLIC)

    def test_the_same_header_written_otherwise_is_refused(self) -> None:
        spaced = json.dumps(json.loads(decode(HEADER)), sort_keys=True).encode()
        with pytest.raises(BadInput):
            verify(signed(spaced, decode(PAYLOAD)), PUBLIC)

    def test_without_a_signature_nothing_counts(self) -> None:
        for none in (f"{HEADER}.{PAYLOAD}.", f"{HEADER}.{PAYLOAD}", f"{encode(header(alg='none'))}.{PAYLOAD}."):
            with pytest.raises(BadInput):
                verify(none, PUBLIC)

    def test_what_is_too_long_is_not_looked_at(self) -> None:
        with pytest.raises(BadInput, match="longer than 4096 characters"):
            read("A" * (LARGEST_ENVELOPE + 1))


class TestOnlyOnePayload:
    @pytest.mark.parametrize(
        "changed",
        [
            {"v": 2},
            {"v": True},
            {"v": 1.0},
            {"case": ""},
            {"case": "c" * 65},
            {"case": "a\u202eb"},
            {"case": "a\nb"},
            {"subject": "A" * 64},
            {"outcome": "approved"},
            {"grounds": []},
            {"grounds": ["g"] * 9},
            {"grounds": ["g" * 41]},
            {"grounds": "lpi"},
            {"reasons": "not a digest"},
            {"about": ""},
            {"actor": "Reviewer One"},
            {"actor": ""},
            {"role": "judge"},
            {"at": "2026-11-25T12:00:00"},
            {"at": "2026-11-25T07:00:00.250000-05:00"},
            {"at": "2026-11-25T12:00:00.2500000Z"},
            {"at": 1764072000},
            {"at": "0001-01-01T00:00:00+14:00"},
            {"at": "9999-12-31T23:59:59-14:00"},
            {"nonce": "too-short"},
            {"nonce": "n" * 44},
            {"extra": 1},
        ],
        ids=str,
    )
    def test_another_one_is_refused_however_well_it_is_signed(self, changed: dict[str, Any]) -> None:
        payload = json.dumps(
            json.loads(decode(PAYLOAD)) | changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        with pytest.raises(BadInput):
            verify(signed(decode(HEADER), payload.encode()), PUBLIC)

    @pytest.mark.parametrize("name", [name for name in Statement.model_fields])
    def test_nothing_may_be_left_out(self, name: str) -> None:
        payload = {key: value for key, value in json.loads(decode(PAYLOAD)).items() if key != name}
        with pytest.raises(BadInput):
            verify(signed(decode(HEADER), canonical_json(payload)), PUBLIC)

    def test_a_key_that_stands_twice_is_refused(self) -> None:
        """A reader that takes the first of two would see a rejection, one that takes the last an approval."""
        twice = decode(PAYLOAD).replace(b'"outcome":"approve"', b'"outcome":"reject","outcome":"approve"')
        with pytest.raises(BadInput, match="canonical"):
            verify(signed(decode(HEADER), twice), PUBLIC)

    @pytest.mark.parametrize("other", [b"", b"null", b"[]", b"\xff", b'{"a":"\\ud800"}', b"[" * 3_000])
    def test_what_is_none_is_refused(self, other: bytes) -> None:
        with pytest.raises(BadInput):
            verify(signed(decode(HEADER), other), PUBLIC)

    def test_a_reason_names_the_field_and_quotes_no_hostile_text(self) -> None:
        payload = canonical_json(json.loads(decode(PAYLOAD)) | {"actor": "<script>"})
        with pytest.raises(BadInput, match="actor: ") as error:
            read(signed(decode(HEADER), payload))
        assert "<script>" not in str(error.value)

    def test_what_breaks_the_form_cannot_be_signed_either(self) -> None:
        with pytest.raises(ValidationError):
            statement(grounds=())


class TestWeakKeys:
    @pytest.mark.parametrize(
        "public",
        [
            bytes(32),
            bytes(31) + b"\x80",
            b"\x01" + bytes(31),
            b"\x01" + bytes(30) + b"\x80",
            bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
            bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
            b"\xff" * 32,
            PUBLIC[:31],
            PUBLIC + b"\0",
            b"",
        ],
        ids=lambda public: public.hex()[:8] + ".." + public.hex()[-2:],
    )
    def test_a_key_under_which_anybody_could_sign_is_refused(self, public: bytes) -> None:
        """All points of small order, encodings beyond the field, and what has not 32 bytes."""
        with pytest.raises(Refused) as refused:
            verify(ENVELOPE, public)
        assert refused.value.code == "weak_key"

    def test_such_a_key_would_otherwise_verify_what_nobody_signed(self) -> None:
        """Why it is looked at: under the neutral point, R = S*B holds for every message."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        neutral = b"\x01" + bytes(31)
        Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"any message at all")

    @given(st.binary(min_size=32, max_size=32))
    def test_a_key_that_was_made_is_not(self, seed: bytes) -> None:
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        assert public_key(public.public_bytes_raw()) == public


class TestAnEnrolment:
    enrolment = Enrolment(officer="reviewer-1", public=public_text(KEY.public_key()), at=NOON)

    def test_is_signed_and_verified_in_the_same_way(self) -> None:
        envelope = sign_enrolment(self.enrolment, KEY)
        assert read_enrolment(envelope) == (self.enrolment, key_id(KEY.public_key()))
        assert verify_enrolment(envelope, PUBLIC) == self.enrolment

    def test_never_passes_for_a_decision_nor_the_other_way_round(self) -> None:
        with pytest.raises(BadInput, match="precinto-decision"):
            verify(sign_enrolment(self.enrolment, KEY), PUBLIC)
        with pytest.raises(BadInput, match="precinto-enrolment"):
            verify_enrolment(ENVELOPE, PUBLIC)


class TestAnyInput:
    """Whatever comes in is read or refused; nothing else ever comes out."""

    @given(st.text(max_size=300))
    def test_text(self, text: str) -> None:
        with pytest.raises(BadInput):
            read(text)

    @given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=70))
    def test_three_parts_of_base64(self, header: bytes, payload: bytes, signature: bytes) -> None:
        with pytest.raises(BadInput):
            read(".".join(map(encode, (header, payload, signature))))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=6,
        ),
        st.sampled_from(sorted(Statement.model_fields)),
    )
    @settings(max_examples=300)
    def test_any_value_in_any_field(self, value: object, name: str) -> None:
        """If it is taken, it is the one form of what was read."""
        payload = json.dumps(
            json.loads(decode(PAYLOAD)) | {name: value}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        envelope = signed(decode(HEADER), payload.encode(errors="surrogatepass"))
        try:
            found = verify(envelope, PUBLIC)
        except BadInput:
            return
        assert sign(found, KEY) == envelope

    @given(st.builds(statement, at=st.datetimes(timezones=st.timezones()), outcome=st.sampled_from(Outcome)))
    def test_every_statement_is_read_as_it_was_signed(self, one: Statement) -> None:
        assert verify(sign(one, KEY), PUBLIC) == one


def test_nonces_are_of_128_bits_and_never_the_same() -> None:
    nonces = {new_nonce() for _ in range(1_000)}
    assert len(nonces) == 1_000
    assert {len(decode(one)) for one in nonces} == {16}
