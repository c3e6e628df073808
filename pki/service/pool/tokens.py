"""Bearer tokens: JSON Web Tokens under an HMAC key of this service, for 24 hours, as OPCP asks.

A token tells its client's roles, providers and WMIs to whoever reads it. Nothing is decided by what it tells: at each
call the client is looked up, so a client that was deleted or changed is so at once.

Source: RFC 6749 4.4; RFC 7515; RFC 7519; OPCP 1.0 accessToken.v1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import timedelta

import msgspec

from pki.errors import PoolRefused
from pki.service.pool.clients import Client, authenticate, find_client
from pki.service.pool.pools import Pools

TOKEN_LIFE = timedelta(hours=24)
TOKEN_CAP = 4096
_HEADER = b'{"alg":"HS256","typ":"JWT"}'
_CLAUSE = "RFC 6750 3.1"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says. `exp` and `iat` are seconds since 1970."""

    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    jti: str
    scope: str
    roles: list[str]
    providers: list[str]
    wmis: list[str]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the token endpoint."""

    access_token: str
    scope: str
    expires_in: int
    token_type: str


def issue_token(pools: Pools, name: str, secret: str, audience: str) -> Token:
    """A token for a client that shows its secret.

    Raises:
        PoolRefused: "client-secret"; "audience": this service is another one.
    """
    client = authenticate(pools, name, secret)
    wanted = pools.settings.public_url
    if wanted is not None and audience.rstrip("/") != wanted.rstrip("/"):
        raise PoolRefused("audience", f"tokens of this service are for {wanted}, not for {audience[:80]!a}")
    now, scope = int(pools.now().timestamp()), " ".join(sorted(role.value for role in client.roles))
    claims = Claims(
        iss="pnc-pki",
        sub=client.id,
        aud=audience,
        iat=now,
        exp=now + int(TOKEN_LIFE.total_seconds()),
        jti=secrets.token_hex(16),
        scope=scope,
        roles=sorted(role.value for role in client.roles),
        providers=list(client.providers),
        wmis=list(client.wmis),
    )
    signed = _url64(_HEADER) + b"." + _url64(msgspec.json.encode(claims))
    text = signed + b"." + _url64(_mac(_key(pools), signed))
    seconds = int(TOKEN_LIFE.total_seconds())
    return Token(access_token=text.decode(), scope=scope, expires_in=seconds, token_type="Bearer")


def read_token(pools: Pools, text: str) -> Client:
    """The client that a token was issued for, as it is registered now.

    Raises:
        PoolRefused: "token": malformed, altered, not ours, expired, or of a client that is no more.
    """
    if len(text) > TOKEN_CAP:
        raise PoolRefused("token", f"a token of {len(text)} characters, at most {TOKEN_CAP}", clause=_CLAUSE)
    signed, _, mac = text.encode("ascii", "replace").rpartition(b".")
    header, _, body = signed.partition(b".")
    if header != _url64(_HEADER) or not hmac.compare_digest(_url64(_mac(_key(pools), signed)), mac):
        raise PoolRefused("token", "the bearer token was not issued here", clause=_CLAUSE)
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)), type=Claims)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise PoolRefused("token", f"the bearer token cannot be read: {error}", clause=_CLAUSE) from error
    if pools.now().timestamp() >= claims.exp:
        raise PoolRefused("token", "the bearer token has expired; ask for a new one", clause=_CLAUSE)
    with pools.reading() as connection:
        client = find_client(connection, claims.sub)
    if client is None or client.made_at.timestamp() > claims.iat:
        raise PoolRefused("token", "the client of this token is no more", clause=_CLAUSE)
    return client


def _key(pools: Pools) -> bytes:
    """The HMAC key, made when it is first needed."""
    with pools.reading() as connection:
        row = connection.execute("SELECT key FROM token_key").fetchone()
    if row is None:
        with pools.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO token_key VALUES (1, ?)", (secrets.token_bytes(32),))
            row = connection.execute("SELECT key FROM token_key").fetchone()
    return bytes(row[0])


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def _url64(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
