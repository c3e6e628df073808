"""Chains for the generic engine (`pki.verify.rfc5280`) as commands and batches bring them: PEM texts and files.

No role, no EMAID, no limit of four certificates: everything is counted and measured before it is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pki.errors import MalformedCertificate
from pki.pem import parse_pem
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
    ocsp_answers: int = 0,
    max_intermediates: int | None = None,
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on PEM texts of one or more blocks each; the leaf is the first block of `chain`.

    Raises:
        MalformedCertificate: "size-limit" or "malformed-pem"; names the field and the text.
    """
    return judge_path(
        _blocks(chain, "chain", CERTIFICATES),
        anchors=_blocks(trust, "trust", ANCHORS),
        at=at,
        crls=_blocks(crls, "crls", LISTS, label="X509 CRL", characters=_LIST_PEM_CAP),
        ocsp_answers=ocsp_answers,
        max_intermediates=max_intermediates,
        require_revocation=require_revocation,
    )


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
        try:
            found += parse_pem(text, label=label, max_blocks=limit, max_characters=characters)
        except MalformedCertificate as error:
            raise MalformedCertificate(error.code, f"{what} {index}: {error}", index=index) from error
    return tuple(found)
