"""The sealer: signs with a key that is the authority's alone, and says early when it cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa

from precinto.adapters.seals.identity import SealingIdentity, issue_sealing_identity
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.bundle.signature import check_signature
from precinto.bundle.trust import check_trusted, read_certificates
from precinto.domain.errors import Unavailable
from precinto.ports import Sealer
from tests.bundle.certificates import issue_chain

CONTENT = b"manifest"


@pytest.fixture
def identity(tmp_path: Path) -> SealingIdentity:
    """An identity of an installation's own."""
    return issue_sealing_identity(tmp_path / "seals", "autoridad")


def sealer(identity: SealingIdentity) -> FileKeySealer:
    return FileKeySealer(identity.key, identity.certificates)


async def check(signature: bytes, root: Path) -> str:
    """Check a signature down to a root; returns whose it is."""
    read = check_signature(signature, CONTENT)
    check_trusted(read.signer, read.others, read_certificates(root), datetime.now(UTC))
    return read.signer.subject.rfc4514_string()


class TestIdentity:
    async def test_what_it_signs_leads_to_its_root(self, identity: SealingIdentity) -> None:
        port: Sealer = sealer(identity)
        assert "seal of evidence" in await check(await port.sign(CONTENT), identity.root)

    def test_it_is_issued_once(self, identity: SealingIdentity) -> None:
        before = {path: path.read_bytes() for path in identity.key.parent.iterdir()}
        assert issue_sealing_identity(identity.key.parent, "another") == identity
        assert {path: path.read_bytes() for path in identity.key.parent.iterdir()} == before

    def test_keys_are_nobody_elses(self, identity: SealingIdentity) -> None:
        folder = identity.key.parent
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert modes == {"root.key": 0o600, "root.pem": 0o644, "signing.key": 0o600, "signing.pem": 0o644}

    def test_one_that_was_cut_off_is_begun_anew(self, tmp_path: Path) -> None:
        half = issue_sealing_identity(tmp_path, "autoridad")
        half.certificates.unlink()
        (tmp_path / ".signing.pem.part").write_bytes(b"half")
        whole = issue_sealing_identity(tmp_path, "autoridad")
        assert whole.certificates.exists()
        assert not list(tmp_path.glob("*.part"))


class TestSealer:
    async def test_a_chain_of_three_by_rsa(self, tmp_path: Path) -> None:
        theirs = issue_chain(tmp_path, key=rsa.generate_private_key(65_537, 3_072))
        signature = await FileKeySealer(theirs.key, theirs.certificates).sign(CONTENT)
        assert await check(signature, theirs.root) == "CN=Authority"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
    async def test_a_key_that_others_may_read_is_not_used(self, identity: SealingIdentity, mode: int) -> None:
        identity.key.chmod(mode)
        with pytest.raises(Unavailable, match="others may read or change the key"):
            await sealer(identity).sign(CONTENT)

    async def test_a_key_of_another_certificate(self, identity: SealingIdentity, tmp_path: Path) -> None:
        other = issue_sealing_identity(tmp_path / "other", "autoridad")
        with pytest.raises(Unavailable, match="is not that of the key"):
            await FileKeySealer(identity.key, other.certificates).sign(CONTENT)

    async def test_files_that_are_missing_or_hold_something_else(self, identity: SealingIdentity) -> None:
        identity.certificates.write_text("nothing")
        with pytest.raises(Unavailable, match="holds no certificates"):
            await sealer(identity).sign(CONTENT)
        identity.key.write_text("SECRET-BUT-NO-KEY")
        with pytest.raises(Unavailable, match="does not hold a private key") as refused:
            await sealer(identity).sign(CONTENT)
        assert "SECRET" not in str(refused.value)
        identity.key.unlink()
        with pytest.raises(Unavailable, match="cannot be read: No such file"):
            await sealer(identity).sign(CONTENT)

    async def test_a_certificate_that_has_run_out(self, tmp_path: Path) -> None:
        expired = issue_chain(tmp_path, until=datetime.now(UTC) - timedelta(minutes=1))
        with pytest.raises(Unavailable, match="is not valid now; it ends"):
            await FileKeySealer(expired.key, expired.certificates).sign(CONTENT)

    async def test_a_certificate_that_runs_out_soon_is_told_of(self, tmp_path: Path) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
        soon = issue_chain(tmp_path, until=until)
        own = FileKeySealer(soon.key, soon.certificates)
        with structlog.testing.capture_logs() as logs:
            await own.sign(CONTENT)
        assert [(one["event"], one["until"]) for one in logs] == [("sealing_certificate_expires", until.isoformat())]
        assert own.valid_until() == until

    async def test_a_renewed_certificate_needs_no_restart(self, identity: SealingIdentity, tmp_path: Path) -> None:
        own = sealer(identity)
        await own.sign(CONTENT)
        renewed = issue_sealing_identity(tmp_path / "renewed", "autoridad")
        for old, new in ((identity.key, renewed.key), (identity.certificates, renewed.certificates)):
            new.replace(old)
        assert await check(await own.sign(CONTENT), renewed.root)
