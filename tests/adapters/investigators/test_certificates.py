"""Certificates of strangers: what they say is read, what cannot be read says why."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from precinto.adapters.investigators.certificates import NAMES, facts, read_certificate, read_shown, server_certificate

SHOWN = {"connection": 1, "host": "example.com", "port": 443, "address": "192.0.2.1", "chain": []}


def certificate(*names: str) -> str:
    """A certificate for these names, DER in Base64."""
    pem = trustme.CA().issue_cert(*names).cert_chain_pems[0].bytes()
    return base64.b64encode(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).decode()


GOOD = certificate("example.com", "*.Example.com", "192.0.2.1")


def shown(folder: Path, *servers: dict[str, object]) -> Path:
    (folder / "certificates.json").write_text(json.dumps({"servers": [SHOWN | server for server in servers]}))
    return folder


def test_the_names_are_those_of_hosts_in_lower_case() -> None:
    assert read_certificate(GOOD).names == ("*.example.com", "example.com")


def test_the_hosts_own_certificate_is_that_of_its_first_connection_that_has_one(tmp_path: Path) -> None:
    servers = read_shown(shown(tmp_path, {"host": "cdn.test", "chain": ["AAAA"]}, {}, {"chain": [GOOD]}))
    assert servers
    found = server_certificate(servers, "example.com")
    assert found
    assert found.names == ("*.example.com", "example.com")
    assert server_certificate(servers, "other.test") is None


def test_each_certificate_is_spelt_out_once(tmp_path: Path) -> None:
    servers = read_shown(shown(tmp_path, {"chain": [GOOD, GOOD]}, {"chain": [GOOD], "sni": "new in the record"}))
    assert servers
    told = facts(servers)
    digest = read_certificate(GOOD).sha256
    assert [one["chain"] for one in told["connections"]] == [[digest, digest], [digest]]
    assert list(told["certificates"]) == [digest]


def test_names_beyond_the_limit_are_counted() -> None:
    found = read_certificate(certificate(*(f"h{n:04}.example.com" for n in range(NAMES + 7))))
    assert len(found.names) == NAMES
    assert found.facts["further_names"] == 7


def test_a_capture_without_the_file_has_none(tmp_path: Path) -> None:
    assert read_shown(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", '{"servers": [{"host": 1}]}', "[" * 100_000])
def test_a_file_that_is_not_what_it_should_be_is_an_error_with_its_place(tmp_path: Path, content: str) -> None:
    (tmp_path / "certificates.json").write_text(content)
    with pytest.raises(ValueError, match=r"servers|JSON|Input"):
        read_shown(tmp_path)


@given(st.integers(0, len(base64.b64decode(GOOD)) - 1), st.integers(1, 255))
def test_a_certificate_with_any_byte_changed_is_read_or_says_why(place: int, change: int) -> None:
    der = bytearray(base64.b64decode(GOOD))
    der[place] ^= change
    found = read_certificate(base64.b64encode(der).decode())
    assert ("problem" in found.facts) != ("serial" in found.facts)


@pytest.mark.parametrize("encoded", ["", "AAAA", "!!", "é"])
def test_what_is_no_certificate_says_so(encoded: str) -> None:
    assert read_certificate(encoded).facts["problem"]
