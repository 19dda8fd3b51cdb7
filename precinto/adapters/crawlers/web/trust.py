"""Makes a browser trust exactly one certificate authority more, as ``certutil`` (libnss3-tools) would.

Chromium on Linux adds to its own roots those of the user's NSS database, ``~/.pki/nssdb``; a capture has a home of
its own, so nobody else's trust changes. Everything else is checked as ever: names, dates, chains. Chromium's flags
that ignore certificate errors would not do: they accept what a visitor's browser refuses.

NSS is what Chromium itself is linked with, so it is there where the browser is. It keeps state for the whole process
and is written in C, so it runs in a process of its own: ``python trust.py <authority.pem> <folder>``.
"""

from __future__ import annotations

import ctypes
import re
import ssl
import sys
from pathlib import Path

_TRUSTED_AUTHORITY = 0x08 | 0x10  # CERTDB_VALID_CA | CERTDB_TRUSTED_CA
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_POINTER = ctypes.c_void_p


class _Item(ctypes.Structure):
    """``SECItem``."""

    _fields_ = [("type", ctypes.c_int), ("data", ctypes.c_char_p), ("len", ctypes.c_uint)]


class _Trust(ctypes.Structure):
    """``CERTCertTrust``: one word each for servers, mail and code."""

    _fields_ = [("ssl", ctypes.c_uint), ("email", ctypes.c_uint), ("code", ctypes.c_uint)]


def write_database(authority: Path, folder: Path) -> None:
    """Write an NSS database that trusts the certificates of a PEM file to vouch for servers.

    Raises:
        OSError: NSS is not installed, or says no.
    """
    nss = ctypes.CDLL("libnss3.so")
    for name in ("PK11_GetInternalKeySlot", "CERT_GetDefaultCertDB", "CERT_NewTempCertificate"):
        getattr(nss, name).restype = _POINTER
    folder.mkdir(parents=True)
    _check("open", nss.NSS_InitReadWrite(f"sql:{folder}".encode()))
    slot, database = _POINTER(nss.PK11_GetInternalKeySlot()), _POINTER(nss.CERT_GetDefaultCertDB())
    _check("set an empty password", nss.PK11_InitPin(slot, None, b""))
    for number, pem in enumerate(_CERTIFICATE.findall(authority.read_text())):
        der = ssl.PEM_cert_to_DER_cert(pem)
        item, trust = _Item(0, der, len(der)), _Trust(_TRUSTED_AUTHORITY, 0, 0)
        certificate = _POINTER(nss.CERT_NewTempCertificate(database, ctypes.byref(item), None, 0, 1))
        _check("read a certificate", 0 if certificate else -1)
        _check("import", nss.PK11_ImportCert(slot, certificate, ctypes.c_ulong(0), b"authority %d" % number, 0))
        _check("trust", nss.CERT_ChangeCertTrust(database, certificate, ctypes.byref(trust)))
        nss.CERT_DestroyCertificate(certificate)
    nss.PK11_FreeSlot(slot)
    _check("close", nss.NSS_Shutdown())


def _check(what: str, status: int) -> None:
    if status != 0:
        raise OSError(f"NSS could not {what} the trust database")


if __name__ == "__main__":
    write_database(Path(sys.argv[1]), Path(sys.argv[2]))
