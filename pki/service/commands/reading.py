"""Files with certificates as operators have them: DER, or PEM with other text around the blocks, as `openssl x509
-text` and `openssl pkcs7 -print_certs` write it. What is no certificate is told as what it is.

Only commands read that way. A chain that is verified is read strictly (`pki.pem`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from pki.certificate import PARSER_ERRORS
from pki.errors import MalformedCertificate, TrustError
from pki.pem import parse_pem
from pki.service.files import read_file
from pki.verify.crl import CRL_CAP

_CERTIFICATE, _LIST = "CERTIFICATE", "X509 CRL"
_BEGIN = re.compile(rb"[ \t]*-----BEGIN ([A-Z0-9 ]{1,40})-----")
_LINE_BEGIN = re.compile(rb"^" + _BEGIN.pattern, re.MULTILINE)
_BLOCKS_MAX = 64
_REQUEST = "a certificate request; openssl req -text shows it"
_KEY = "a private key, of which nothing is shown"
_ANSWER = "an OCSP answer; openssl ocsp -respin shows it"
_REVOKED = "a list of revoked certificates; pnc-pki show shows it"
_KINDS = {
    "CERTIFICATE REQUEST": _REQUEST,
    "NEW CERTIFICATE REQUEST": _REQUEST,
    "PRIVATE KEY": _KEY,
    "ENCRYPTED PRIVATE KEY": _KEY,
    "EC PRIVATE KEY": _KEY,
    "RSA PRIVATE KEY": _KEY,
    "PUBLIC KEY": "a public key; openssl pkey -pubin -text shows it",
    "PKCS7": "certificates in PKCS #7; openssl pkcs7 -print_certs makes PEM of them",
    _LIST: _REVOKED,
}


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Let errors of reading name the file."""
    try:
        yield
    except (MalformedCertificate, TrustError) as error:
        if str(error).startswith(f"{path}: "):
            raise
        told = f"{path}: {error}"
        raise type(error)(error.code, told, clause=error.clause, index=error.index) from error


def read_certificates(path: Path) -> tuple[bytes, ...]:
    """The DER of the certificates in a file, PEM or DER, at least one; whether it can be parsed is not asked.

    Raises:
        TrustError: "unreadable".
        MalformedCertificate: "size-limit", "malformed-pem": there is none, and what there is instead; names the file.
    """
    with naming_file(path):
        return certificates_in(read_file(path, CRL_CAP))


def certificates_in(content: bytes) -> tuple[bytes, ...]:
    """The same, of the content of a file."""
    if content[:1] == b"\x30":
        kind = _kind_of_der(content)
        if kind is not None:
            raise MalformedCertificate("malformed-certificate", f"this is {kind}")
        return (content,)
    blocks = list(_blocks(content))
    found = tuple(der for label, der in blocks if label == _CERTIFICATE)
    if not found:
        known = next((_KINDS[label] for label, _ in blocks if label in _KINDS), None)
        told = "no certificate in it" if known is None else f"this is {known}"
        raise MalformedCertificate("malformed-pem", told)
    return found


def list_in(content: bytes) -> bytes | None:
    """The DER of the list of revoked certificates that is the content of a file, PEM or DER; None for anything else."""
    if content[:1] == b"\x30":
        return content if _reads(x509.load_der_x509_crl, content) else None
    first = next(_blocks(content), None)
    return first[1] if first is not None and first[0] == _LIST else None


def _blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Each PEM block with its label; a block begins a line, or stands right behind another. What is in a block of
    another kind than we read is not looked at."""
    at = 0
    for number in range(_BLOCKS_MAX + 1):
        begun = _BEGIN.match(content, at) or _LINE_BEGIN.search(content, at)
        if begun is None:
            return
        if number == _BLOCKS_MAX:
            raise MalformedCertificate("size-limit", f"more than {_BLOCKS_MAX} PEM blocks")
        label = begun[1].decode("ascii")
        end = f"-----END {label}-----".encode()
        closed = content.find(end, begun.end())
        if closed < 0:
            raise MalformedCertificate("malformed-pem", f"a PEM block of {label} does not end")
        at = closed + len(end)
        read = label in (_CERTIFICATE, _LIST)
        whole = content[begun.start() : at]
        yield label, parse_pem(whole, label=label, max_blocks=1, max_characters=CRL_CAP)[0] if read else b""


def _kind_of_der(content: bytes) -> str | None:
    """What DER is that is no certificate, where it is something that operators have."""
    readers: tuple[tuple[Callable[[bytes], object], str], ...] = (
        (x509.load_der_x509_csr, _REQUEST),
        (x509.load_der_x509_crl, _REVOKED),
        (ocsp.load_der_ocsp_response, _ANSWER),
        (lambda der: serialization.load_der_private_key(der, None), _KEY),
    )
    return next((kind for reads, kind in readers if _reads(reads, content)), None)


def _reads(reader: Callable[[bytes], object], content: bytes) -> bool:
    try:
        reader(content)
    except PARSER_ERRORS:
        return False
    return True
