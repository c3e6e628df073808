"""OCSP requests: what other programs write is read, and everything else is refused without a traceback."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given, strategies as st

from pki.issue.der_writer import explicit, integer, object_identifier, octet_string, sequence
from pki.service.web.ocsp_request import MAX_ENTRIES, REQUEST_CAP, MalformedRequest, parse_request
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from tests.pki.evidence_mint import certificates
from tests.pki.mint import Branch

_SHA1 = sequence(object_identifier("1.3.14.3.2.26"), b"\x05\x00")
_NONCE = object_identifier("1.3.6.1.5.5.7.48.1.2")


def request_of(*ids: bytes, extensions: bytes = b"", version: bytes = b"") -> bytes:
    return sequence(sequence(version, sequence(*(sequence(each) for each in ids)), extensions))


def certificate_id(serial: int = 7, algorithm: bytes = _SHA1) -> bytes:
    return sequence(algorithm, octet_string(bytes(20)), octet_string(bytes(20)), integer(serial))


@pytest.mark.parametrize("algorithm", [hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512])
def test_a_request_by_cryptography_names_the_certificate(branch: Branch, algorithm: type[hashes.HashAlgorithm]) -> None:
    leaf, issuer = certificates(branch)
    builder = x509.ocsp.OCSPRequestBuilder().add_certificate(leaf.parsed, issuer.parsed, algorithm())
    der = (
        builder.add_extension(x509.OCSPNonce(b"n" * 16), critical=False)
        .build()
        .public_bytes(serialization.Encoding.DER)
    )
    found = parse_request(der)
    name = HashAlgorithm(algorithm.name)
    assert [(each.issuer, each.serial) for each in found.ids] == [(issuer_id(issuer, name), leaf.serial)]
    assert found.nonce == b"n" * 16


def test_a_request_by_openssl_names_every_certificate(branch: Branch, tmp_path: Path) -> None:
    leaf, issuer = certificates(branch)
    (tmp_path / "issuer.pem").write_text(issuer.pem())
    (tmp_path / "leaf.pem").write_text(leaf.pem())
    command = ["openssl", "ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-serial", "12", "-reqout", "r.der"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = parse_request((tmp_path / "r.der").read_bytes())
    assert [each.serial for each in found.ids] == [leaf.serial, 12]
    assert found.nonce is not None


def test_an_unknown_hash_is_no_issuer_of_ours() -> None:
    md5 = sequence(object_identifier("1.2.840.113549.2.5"), b"\x05\x00")
    (asked,) = parse_request(request_of(certificate_id(algorithm=md5))).ids
    assert asked.issuer is None


def test_the_hash_may_be_named_with_or_without_parameters() -> None:
    bare = certificate_id(algorithm=sequence(object_identifier("1.3.14.3.2.26")))
    with_null, without = (parse_request(request_of(each)).ids[0] for each in (certificate_id(), bare))
    assert with_null.issuer == without.issuer
    assert with_null.der != without.der


def critical(oid: str) -> bytes:
    return explicit(2, sequence(sequence(object_identifier(oid), b"\x01\x01\xff", octet_string(b"\x05\x00"))))


def nonce(octets: bytes) -> bytes:
    return explicit(2, sequence(sequence(_NONCE, octet_string(octet_string(octets)))))


@pytest.mark.parametrize(
    ("der", "said"),
    [
        (b"", "cut off"),
        (b"\x30\x80\x00\x00", "indefinite"),
        (bytes(REQUEST_CAP + 1), "at most 4096"),
        (request_of(certificate_id()) + b"\x00", "nothing behind it"),
        (request_of(certificate_id())[:-1], "cut off"),
        (request_of(), "0 certificates"),
        (request_of(*[certificate_id()] * (MAX_ENTRIES + 1)), "17 certificates"),
        (request_of(certificate_id(serial=-1)), "negative"),
        (request_of(certificate_id(serial=1 << 160)), "over 20 octets"),
        (request_of(certificate_id(), version=explicit(0, integer(1))), "version 1"),
        (request_of(certificate_id(), extensions=critical("1.2.3.4")), "1.2.3.4 is not known"),
        (request_of(certificate_id(), extensions=nonce(b"")), "nonce of 0"),
        (request_of(certificate_id(), extensions=nonce(bytes(129))), "nonce of 129"),
        (request_of(sequence(_SHA1, octet_string(b""))), "two hashes and a number"),
        (request_of(certificate_id(algorithm=sequence(object_identifier("1.3.14.3.2.26"), integer(1)))), "parameters"),
    ],
)
def test_what_is_no_request_is_refused(der: bytes, said: str) -> None:
    with pytest.raises(MalformedRequest, match=said):
        parse_request(der)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with suppress(MalformedRequest):
        parse_request(octets)


@given(st.integers(0, 200), st.integers(0, 255))
def test_any_change_of_a_request_is_read_or_refused(place: int, octet: int) -> None:
    der = bytearray(request_of(certificate_id(), extensions=nonce(bytes(16))))
    der[place % len(der)] = octet
    with suppress(MalformedRequest):
        assert len(parse_request(bytes(der)).ids) == 1
