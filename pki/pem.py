"""PEM, strictly: one label, nothing but white space around the blocks, everything counted before it is decoded."""

from __future__ import annotations

import base64
import binascii

from pki.errors import MalformedCertificate

CHAIN_PEM_CAP = 10_000
"""Characters of a PEM chain (OCPP 2.1 Authorize; 2.0.1 allows 5500)."""
CHAIN_BLOCKS = 5
"""Certificates of a PEM chain: leaf, Sub2, Sub1, in -20 a link certificate, and from some chargers the root. A profile
may allow fewer."""
_PEM_SPACE = " \t\r\n"
_WITHOUT_SPACE = str.maketrans("", "", _PEM_SPACE)


def encode_pem(der: bytes, label: str = "CERTIFICATE") -> str:
    """One PEM block that ends with a line feed."""
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def parse_chain_pem(text: str | bytes) -> tuple[bytes, ...]:
    """The DER of each certificate of a PEM chain as a charger sends it: leaf first, 1 to 5 blocks, 10,000 characters.

    Raises:
        MalformedCertificate: "empty-chain" for a blank text; "size-limit" or "malformed-pem", where `index` names the
            block.

    Source: OCPP 2.0.1 C07; ISO 15118-2 V2G2-009.
    """
    if is_blank(text):
        raise MalformedCertificate("empty-chain", "no certificate was presented")
    return parse_pem(text, max_blocks=CHAIN_BLOCKS, max_characters=CHAIN_PEM_CAP)


def is_blank(text: str | bytes) -> bool:
    """Whether there is nothing but the white space that may stand around PEM blocks."""
    return not (text.strip(_PEM_SPACE) if isinstance(text, str) else text.strip(_PEM_SPACE.encode()))


def parse_pem(
    text: str | bytes, *, label: str = "CERTIFICATE", max_blocks: int, max_characters: int
) -> tuple[bytes, ...]:
    """The bytes of each PEM block of `text`, at least one; only `label` may appear and only white space between blocks.

    Raises:
        MalformedCertificate: "size-limit" or "malformed-pem"; `index` names the block.
    """
    if len(text) > max_characters:
        raise MalformedCertificate("size-limit", f"{len(text)} characters of PEM, at most {max_characters}")
    try:
        plain = text.decode("ascii") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise MalformedCertificate("malformed-pem", f"PEM is not ASCII: {error}") from error
    begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
    blocks: list[bytes] = []
    rest = plain.strip(_PEM_SPACE)
    while rest:
        index = len(blocks)
        if index == max_blocks:
            raise MalformedCertificate("size-limit", f"more than {max_blocks} PEM blocks", index=index)
        body, closed, after = rest.removeprefix(begin).partition(end)
        if not rest.startswith(begin) or not closed:
            raise MalformedCertificate("malformed-pem", f"expected {begin} ... {end} and nothing else", index=index)
        blocks.append(_base64(body, index))
        rest = after.lstrip(_PEM_SPACE)
    if not blocks:
        raise MalformedCertificate("malformed-pem", f"no PEM block; expected {begin}")
    return tuple(blocks)


def _base64(body: str, index: int) -> bytes:
    try:
        return base64.b64decode(body.translate(_WITHOUT_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedCertificate("malformed-pem", f"PEM block is not base64: {error}", index=index) from error
