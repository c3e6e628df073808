"""The Authorization header, written and read, and how a token is looked for that is stored by its hash.

Rules
1. Written: `Token`, one space, base64 of the credentials token; never with a newline inside. To a partner with the
   quirk `raw_token`, the token as it is.
2. Read: nobody can tell whether a text is base64 or a token that looks so; `candidates` gives each reading, most
   orthodox first: decoded and stripped of white space (many encode a newline, as the specification's example does),
   then the text as it came. The caller looks up all of them.
3. Tokens that we issued are stored as their SHA-256 only, and compared in constant time.

Source: OCPI 2.3.0 transport_and_format (Authorization header), credentials (Credentials object: U+0021 to U+007E, 64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from wire.errors import OCPIRefused

HEADER = "Authorization"
_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
_LONGEST = 256
"""Characters of a header at most: 64 bytes are 88 in base64."""


def authorization(token: str, *, raw: bool = False) -> str:
    """The header's value for a credentials token.

    Raises:
        OCPIRefused: not 1 to 64 characters of U+0021 to U+007E (`bad-token`).
    """
    require_token(token)
    return f"Token {token if raw else base64.b64encode(token.encode()).decode()}"


def require_token(token: str) -> str:
    """`token`, which can be a credentials token. Raises OCPIRefused otherwise (`bad-token`); never quotes it."""
    if not _TOKEN.fullmatch(token):
        raise OCPIRefused("bad-token", "/token", "a credentials token is 1 to 64 characters of U+0021 to U+007E")
    return token


def candidates(value: str | None) -> tuple[str, ...]:
    """What the sender's token may be, likeliest first, at most two; none when the header is missing or no token's."""
    scheme, _, text = (value or "").strip()[:_LONGEST].partition(" ")
    text = text.strip()
    if scheme.casefold() != "token":
        return ()
    found = dict.fromkeys(reading for reading in (_decoded(text), text) if reading and _TOKEN.fullmatch(reading))
    return tuple(found)


def token_hash(token: str) -> str:
    """SHA-256 of a credentials token, in lower-case hex. Tokens are random and long, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def presented(value: str | None, stored_hash: str) -> str | None:
    """The token in the header `value` whose hash is `stored_hash`, compared in constant time; None without one.

    A GET of credentials has to return the token, which is stored nowhere: the caller has just shown it.
    """
    found = None
    for reading in candidates(value):
        if hmac.compare_digest(token_hash(reading).encode(), stored_hash.encode()):
            found = reading
    return found


def hashes(value: str | None) -> tuple[str, ...]:
    """The hashes under which the sender's token may be stored; to be looked up by index."""
    return tuple(token_hash(reading) for reading in candidates(value))


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode("utf-8").strip()
    except (binascii.Error, UnicodeError):
        return None
