"""The TLS context of the uplink: it knows only the hub's CA, and shows the gateway's certificate."""

from __future__ import annotations

import ssl

from gateway.config import Settings
from gateway.enrol.identity import load_identity
from gateway.errors import ConfigurationError, EnrolmentError
from gateway.wording import reason

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""


def uplink_tls(settings: Settings) -> ssl.SSLContext:
    """The context, with the pair of [uplink], or without one the pair of [enrol]; for OCPI with the pair of [uplink] if
    there is one, and without `ca` with the roots of the system. Raises ConfigurationError."""
    table = settings.table.uplink
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if table.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(settings.file(table.ca, "[uplink] ca"))
        if settings.speaks_ocpi and table.certificate is None:
            return context
        if table.certificate is not None and table.key is not None:
            _load_files(context, settings, table.certificate, table.key)
        else:
            context.load_cert_chain(load_identity(settings.identity_path).path)
    except EnrolmentError as error:
        raise ConfigurationError(str(error)) from error
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[uplink] certificate, key or ca cannot be used: {reason(error)}") from error
    return context


def judge_dates(context: ssl.SSLContext, *, by_system_clock: bool) -> None:
    """Whether new connections judge the dates of certificates, which OpenSSL can only do by the system's clock."""
    if by_system_clock:
        context.verify_flags &= ~_NO_CHECK_TIME
    else:
        context.verify_flags |= _NO_CHECK_TIME


def _load_files(context: ssl.SSLContext, settings: Settings, certificate: str, key: str) -> None:
    chain, secret = settings.file(certificate, "[uplink] certificate"), settings.file(key, "[uplink] key")
    if secret.stat().st_mode & 0o077:
        raise ConfigurationError(f"[uplink] key {key!r} can be read by others; chmod 600 {secret}")
    context.load_cert_chain(chain, secret)
