"""Chains for the generic engine (`pki.verify.rfc5280`) as commands and batches bring them: PEM texts and files.

No role, no EMAID, no limit of four certificates: everything is counted and measured before it is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pki.errors import MalformedCertificate, TrustError
from pki.pem import is_blank, parse_pem
from pki.service.files import load_crls, read_file
from pki.service.verdicts import Verdict, judge_path
from pki.verify.rfc5280.budget import ANCHORS, CERTIFICATES, LISTS
from pki.verify.rfc5280.lists import LIST_CAP

PATH_PEM_CAP = 1024 * 1024
"""Characters of one text of certificates."""
_LIST_PEM_CAP = LIST_CAP // 2 * 3


def judge_path_texts(
    chain: Sequence[str | bytes],
    *,
    trust: Sequence[str | bytes],
    at: datetime,
    crls: Sequence[str | bytes] = (),
    ocsps: Sequence[bytes] = (),
    max_intermediates: int | None = None,
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on PEM texts of one or more blocks each; the leaf is the first block of `chain`.

    Raises:
        MalformedCertificate: "size-limit" or "malformed-pem"; names the field and the text, `index` the certificate
            when it is of the chain.
    """
    return judge_path(
        _blocks(chain, "chain", CERTIFICATES),
        anchors=_blocks(trust, "trust", ANCHORS),
        at=at,
        crls=_blocks(crls, "crls", LISTS, label="X509 CRL", characters=_LIST_PEM_CAP),
        ocsps=ocsps,
        max_intermediates=max_intermediates,
        require_revocation=require_revocation,
    )


def judge_path_files(
    chain: bytes,
    *,
    trust: Path,
    at: datetime,
    crls: Sequence[Path] = (),
    ocsps: Sequence[bytes] = (),
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on a PEM chain with the anchors of a file or a folder: every file in it, sub-folders included.

    Raises:
        MalformedCertificate: "size-limit" or "malformed-pem".
        TrustError: "trust-empty", "unreadable" or "crl-file"; names the path.
    """
    files = sorted(path for path in trust.rglob("*") if path.is_file()) if trust.is_dir() else [trust]
    if not files:
        raise TrustError("trust-empty", f"{trust}: holds no anchor")
    held = [read_file(path, PATH_PEM_CAP) for path in files[: ANCHORS + 1]]
    return judge_path(
        _blocks([chain], "chain", CERTIFICATES),
        anchors=[der for content in held for der in _file_blocks(content)],
        at=at,
        crls=load_crls(crls),
        ocsps=ocsps,
        require_revocation=require_revocation,
    )


def _file_blocks(content: bytes) -> tuple[bytes, ...]:
    """DER begins with a SEQUENCE, everything else must be PEM."""
    return (content,) if content[:1] == b"\x30" else _blocks([content], "trust", ANCHORS)


def _blocks(
    texts: Sequence[str | bytes],
    what: str,
    limit: int,
    *,
    label: str = "CERTIFICATE",
    characters: int = PATH_PEM_CAP,
) -> tuple[bytes, ...]:
    if len(texts) > limit:
        raise MalformedCertificate("size-limit", f"{what} holds {len(texts)} texts, at most {limit}")
    found: list[bytes] = []
    for index, text in enumerate(texts):
        if what == "chain" and is_blank(text):
            continue
        try:
            found += parse_pem(text, label=label, max_blocks=limit, max_characters=characters)
        except MalformedCertificate as error:
            place = None if what != "chain" or error.index is None else len(found) + error.index
            raise MalformedCertificate(error.code, f"{what} {index}: {error}", index=place) from error
    return tuple(found)
