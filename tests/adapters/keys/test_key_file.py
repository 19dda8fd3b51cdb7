"""An officer's key file: nobody opens it without the passphrase, and it opens with tools that are not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from precinto.adapters.keys.key_file import KeyFile, key_files, make_key, read_passphrase
from precinto.domain.errors import BadInput, CannotHere
from precinto.domain.statements import key_id

PASSPHRASE = "contraseña de la revisora"  # noqa: S105 - of keys that live for one test


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """A key of a reviewer; made once, because it takes its time."""
    return make_key(tmp_path_factory.mktemp("home") / "keys", "reviewer-1", PASSPHRASE)


@pytest.fixture
def file(made: KeyFile, tmp_path: Path) -> KeyFile:
    """A copy of it for one test."""
    return KeyFile(Path(shutil.copy(made.path, tmp_path)))


def written(folder: Path, pem: bytes, key: str = "k") -> KeyFile:
    """A file with any content in the place of a key."""
    path = folder / f"reviewer-1_{key}.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    return KeyFile(path)


def pem(folder: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, *how: str) -> bytes:
    """A key in PEM as ``openssl`` protects it with our passphrase; ``how``: as ours is, where nothing is said."""
    plain = folder / "plain.pem"
    plain.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    how = how or ("-scrypt", "-scrypt_N", "16384", "-scrypt_r", "8", "-scrypt_p", "10")
    command = ["openssl", "pkcs8", "-topk8", "-in", plain, "-passout", f"file:{folder / 'passphrase'}", *how]
    return subprocess.run(command, capture_output=True, check=True).stdout


class TestMaking:
    def test_the_file_says_whose_it_is_and_is_nobody_elses(self, made: KeyFile) -> None:
        assert made.officer == "reviewer-1"
        assert made.key == key_id(made.unlock(PASSPHRASE).public_key())
        assert made.path.stat().st_mode & 0o777 == 0o600
        assert made.path.parent.stat().st_mode & 0o777 == 0o700

    def test_a_wide_umask_does_not_widen_it(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            made = make_key(tmp_path / "keys", "reviewer-1", PASSPHRASE)
        finally:
            os.umask(before)
        assert made.path.stat().st_mode & 0o777 == 0o600

    def test_each_is_another_key(self, tmp_path: Path) -> None:
        assert make_key(tmp_path, "reviewer-1", PASSPHRASE).key != make_key(tmp_path, "reviewer-1", PASSPHRASE).key

    def test_a_short_passphrase_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="at least 12"):
            make_key(tmp_path, "reviewer-1", "elevenchars")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "keys").touch()
        with pytest.raises(CannotHere, match="cannot be written"):
            make_key(tmp_path / "keys", "reviewer-1", PASSPHRASE)

    def test_the_newest_comes_first(self, tmp_path: Path) -> None:
        old, new, other = (KeyFile(tmp_path / f"{name}.pem") for name in ("a_z", "a_x", "a-b_y"))
        for n, one in enumerate((old, new, other)):
            one.path.touch()
            os.utime(one.path, (n, n))
        assert key_files(tmp_path, "a") == [new, old]
        assert key_files(tmp_path, "a-b") == [other]
        assert key_files(tmp_path / "none", "a") == []


class TestUnlocking:
    def test_openssl_opens_it(self, file: KeyFile, tmp_path: Path) -> None:
        (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
        command = ["openssl", "pkey", "-in", file.path, "-passin", f"file:{tmp_path / 'passphrase'}", "-pubout"]
        public = subprocess.run(command, capture_output=True, check=True).stdout
        own = file.unlock(PASSPHRASE).public_key()
        assert public == own.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def test_the_passphrase_is_stretched_with_scrypt(self, file: KeyFile) -> None:
        shown = subprocess.run(["openssl", "asn1parse", "-in", file.path], capture_output=True, text=True, check=True)
        numbers = [line.rpartition(":")[2] for line in shown.stdout.splitlines() if "INTEGER" in line]
        assert ":scrypt" in shown.stdout
        assert ":aes-256-cbc" in shown.stdout
        assert [int(number, 16) for number in numbers] == [2**14, 8, 10, 32]

    def test_one_try_takes_long(self, file: KeyFile) -> None:
        """Some 200 ms on this project's machines; the library's own choice, PBKDF2 with 2,048 rounds, takes 0.3 ms."""
        started = time.process_time()
        file.unlock(PASSPHRASE)
        assert time.process_time() - started > 0.03

    @pytest.mark.parametrize("wrong", ["", " ", PASSPHRASE + " ", PASSPHRASE.upper(), PASSPHRASE[:-1], "\0"])
    def test_a_wrong_passphrase_is_said_to_be(self, file: KeyFile, wrong: str) -> None:
        with pytest.raises(BadInput, match="wrong passphrase") as error:
            file.unlock(wrong)
        assert not wrong.strip() or wrong not in str(error.value)

    def test_an_accent_may_be_typed_in_either_way(self, file: KeyFile) -> None:
        assert file.unlock(PASSPHRASE.replace("ñ", "n\u0303"))

    def test_a_key_that_openssl_made_is_taken(self, tmp_path: Path) -> None:
        """Who keeps keys by other means brings them; the name says which key it is."""
        key = Ed25519PrivateKey.generate()
        own = written(tmp_path, pem(tmp_path, key), key_id(key.public_key()))
        assert own.unlock(PASSPHRASE).public_key() == key.public_key()

    def test_no_key_is_without_a_passphrase(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="that a passphrase protects"):
            written(tmp_path, pem(tmp_path, Ed25519PrivateKey.generate(), "-nocrypt")).unlock(PASSPHRASE)

    @pytest.mark.parametrize(
        ("how", "why"),
        [
            (("-v2", "aes256"), "not protected by PBES2 with scrypt"),
            (("-scrypt", "-scrypt_N", "1024", "-scrypt_r", "8", "-scrypt_p", "10"), "N = 1024, r = 8, p = 10 is too"),
            (("-scrypt", "-scrypt_N", "16384", "-scrypt_r", "1", "-scrypt_p", "1"), "N = 16384, r = 1, p = 1 is too"),
            (
                ("-scrypt", "-scrypt_N", "16384", "-scrypt_r", "8", "-scrypt_p", "17"),
                "p = 17 is too little or too much",
            ),
        ],
        ids=["PBKDF2", "cheap", "small", "endless"],
    )
    def test_no_key_is_under_a_passphrase_that_is_quickly_tried(
        self, tmp_path: Path, how: tuple[str, ...], why: str
    ) -> None:
        """Nor under one whose trial takes memory or time without end."""
        with pytest.raises(BadInput, match=why):
            written(tmp_path, pem(tmp_path, Ed25519PrivateKey.generate(), *how)).unlock(PASSPHRASE)

    def test_another_kind_of_key_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="not an Ed25519 key"):
            written(tmp_path, pem(tmp_path, ec.generate_private_key(ec.SECP256R1()))).unlock(PASSPHRASE)

    def test_a_key_under_the_name_of_another_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="another key than its name says"):
            written(tmp_path, pem(tmp_path, Ed25519PrivateKey.generate())).unlock(PASSPHRASE)

    @pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\n!\n", b"\xff" * 100_000])
    def test_what_is_no_key_is_said_to_be(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BadInput, match="not a private key in PEM"):
            written(tmp_path, content).unlock(PASSPHRASE)

    def test_a_damaged_file_gives_no_key(self, file: KeyFile) -> None:
        lines = file.path.read_bytes().splitlines()
        for at in range(1, len(lines) - 1):
            damaged = [*lines[:at], lines[at][:-5] + b"AAAAA", *lines[at + 1 :]]
            file.path.write_bytes(b"\n".join(damaged))
            with pytest.raises(BadInput, match=r"damaged|too little or too much"):
                file.unlock(PASSPHRASE)


class TestPrivacy:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
    def test_a_file_that_others_may_open_is_refused(self, file: KeyFile, mode: int) -> None:
        file.path.chmod(mode)
        with pytest.raises(BadInput, match="chmod 600"):
            file.unlock(PASSPHRASE)

    def test_a_symbolic_link_is_not_followed(self, file: KeyFile, tmp_path: Path) -> None:
        link = tmp_path / f"linked_{file.key}.pem"
        link.symlink_to(file.path)
        with pytest.raises(BadInput, match="symbolic link"):
            KeyFile(link).unlock(PASSPHRASE)

    def test_a_folder_or_a_pipe_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "a_folder.pem").mkdir()
        os.mkfifo(tmp_path / "a_pipe.pem", 0o600)
        for name in ("a_folder.pem", "a_pipe.pem"):
            with pytest.raises(BadInput, match="not a file"):
                KeyFile(tmp_path / name).unlock(PASSPHRASE)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_a_file_of_another_user_is_refused(self, file: KeyFile) -> None:
        os.chown(file.path, 65_534, 65_534)
        with pytest.raises(BadInput, match="another user"):
            file.unlock(PASSPHRASE)

    def test_a_file_that_is_not_there_is_missed(self, tmp_path: Path) -> None:
        with pytest.raises(CannotHere, match="no such file"):
            KeyFile(tmp_path / "reviewer-1_x.pem").unlock(PASSPHRASE)


class TestPassphraseFile:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_its_one_line_is_the_passphrase(self, tmp_path: Path, end: str) -> None:
        (tmp_path / "p").write_bytes(f"  two words {end}".encode())
        (tmp_path / "p").chmod(0o600)
        assert read_passphrase(tmp_path / "p") == "  two words "

    @pytest.mark.parametrize("content", [b"", b"one\ntwo\n", b"\xff\xfe"])
    def test_anything_else_is_refused_unquoted(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "p").write_bytes(content)
        (tmp_path / "p").chmod(0o600)
        with pytest.raises(BadInput, match="one line of text") as error:
            read_passphrase(tmp_path / "p")
        assert "two" not in str(error.value)

    def test_it_is_nobody_elses(self, tmp_path: Path) -> None:
        (tmp_path / "p").write_text(PASSPHRASE)
        (tmp_path / "p").chmod(0o644)
        with pytest.raises(BadInput, match="others may read"):
            read_passphrase(tmp_path / "p")
