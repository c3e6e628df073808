"""The contract pool of [pool], ready to be asked."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.uplink.pool import TOKEN_PATH, ContractPool, PoolAccess
from gateway.wording import reason

_SECRET_MAX = 4096


def open_pool(settings: Settings) -> ContractPool | None:
    """The pool; None without a [pool] table. Raises ConfigurationError."""
    table = settings.table.pool
    if table is None:
        return None
    url = _checked(table.url, "[pool] url").rstrip("/")
    token_url = url + TOKEN_PATH if table.token_url is None else _checked(table.token_url, "[pool] token_url")
    if not table.client_id:
        raise ConfigurationError("[pool] client_id is empty; it is the name that the pool's operator registered")
    access = PoolAccess(
        url=url,
        token_url=token_url,
        audience=table.audience or url,
        client_id=table.client_id,
        secret=_secret(settings, table.secret_file),
        timeout_s=table.timeout_s,
    )
    return ContractPool(access, None if table.ca is None else _tls(settings, table.ca))


def _checked(text: str, key: str) -> str:
    """An https address. Raises ConfigurationError, which does not repeat a password that should not stand there."""
    try:
        place = urlsplit(text)
        usable = place.scheme == "https" and bool(place.hostname) and place.port != 0
    except ValueError:
        usable = False
    if "@" in text:
        raise ConfigurationError(f"{key}: holds a user or password; the client is [pool] client_id and secret_file")
    if not usable or "?" in text or "#" in text:
        raise ConfigurationError(f"{key} {text!r}: must be https://HOST[:PORT][/PATH], without query or fragment")
    return text


def _secret(settings: Settings, name: str) -> str:
    path = settings.file(name, "[pool] secret_file")
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"[pool] secret_file {name!r} can be read by others; chmod 600 {path}")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"[pool] secret_file {name!r}: cannot be read: {reason(error)}") from error
    if not 1 <= len(text) <= _SECRET_MAX:
        raise ConfigurationError(f"[pool] secret_file {name!r}: holds {len(text)} characters, 1 to {_SECRET_MAX}")
    return text


def _tls(settings: Settings, ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(settings.file(ca, "[pool] ca"))
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[pool] ca {ca!r} cannot be used: {reason(error)}") from error
    return context
