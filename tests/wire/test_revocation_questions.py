"""How evidence is asked for at the hub: one text for each source, and nothing that is no source."""

from __future__ import annotations

import base64

import pytest
from yarl import URL

from wire.revocation import MAX_REQUEST_BYTES, BadEvidenceQuestion, EvidenceKind, EvidenceSource, etag_of, read_source

REQUEST = bytes(range(256))


@pytest.mark.parametrize(
    "source",
    [
        EvidenceSource(EvidenceKind.CRL, "http://pki.example/crls/a+b.crl?x=1&y=%2F#".removesuffix("#")),
        EvidenceSource(EvidenceKind.ROOTS, "https://pki.example:8443/v1/root/ctl"),
        EvidenceSource(EvidenceKind.OCSP, "http://pki.example/ocsp", REQUEST),
    ],
)
def test_what_is_asked_is_what_is_read(source: EvidenceSource) -> None:
    query = URL(source.path).query
    assert read_source(query["kind"], query["url"], query.get("request", "")) == source


def test_each_source_has_a_name_of_its_own() -> None:
    url = "http://pki.example/x"
    sources = [
        EvidenceSource(EvidenceKind.CRL, url),
        EvidenceSource(EvidenceKind.ROOTS, url),
        EvidenceSource(EvidenceKind.CRL, url + "y"),
        EvidenceSource(EvidenceKind.OCSP, url, b"a"),
        EvidenceSource(EvidenceKind.OCSP, url, b"b"),
    ]
    assert len({source.name for source in sources}) == len(sources)
    assert etag_of(b"a") != etag_of(b"b")


@pytest.mark.parametrize(
    ("kind", "url", "request_"),
    [
        ("delta", "http://pki.example/x", b""),
        ("crl", "", b""),
        ("crl", "http://pki.example/" + "x" * 1024, b""),
        ("crl", "http://pki.example/\u00e4", b""),
        ("crl", "http://pki.example/a\nb", b""),
        ("crl", "http://pki.example/x", b"request"),
        ("ocsp", "http://pki.example/x", b""),
        ("ocsp", "http://pki.example/x", b"x" * (MAX_REQUEST_BYTES + 1)),
    ],
)
def test_what_can_be_no_source_is_refused(kind: str, url: str, request_: bytes) -> None:
    with pytest.raises(BadEvidenceQuestion):
        read_source(kind, url, base64.urlsafe_b64encode(request_).decode())


def test_request_that_is_no_base64_is_refused() -> None:
    with pytest.raises(BadEvidenceQuestion, match="base64url"):
        read_source("ocsp", "http://pki.example/x", "a?b")
