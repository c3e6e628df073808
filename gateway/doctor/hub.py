"""The clock, and the way to the hub: tried as the gateway goes it, with its certificate and through its proxy."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from datetime import datetime

from gateway.clock import read_boot_id
from gateway.clock_watch import open_clock
from gateway.config import Settings
from gateway.doctor.finding import Finding, fault, good, note, warning
from gateway.errors import GatewayError
from gateway.status import read_ocpi_standing, read_running
from gateway.tls import judge_dates, uplink_tls
from gateway.uplink.exchange import HubExchange
from gateway.uplink.token_list import MAX_HEAD_BYTES
from gateway.way import link_settings
from gateway.wording import counted, instant
from wire.errors import MalformedValue
from wire.records import ClockState, decode
from wire.whitelist import PATH_HEAD, SignedListHead

_REMEDIES = {
    "unreachable": "look at the network: address, name service, firewall, cable; then at the hub",
    "timeout": "look at the network: something takes the connection and passes nothing on",
    "wrong-certificate": "see what stands in between, and whether [uplink] hub and ca are right",
    "not-tls": "see what stands in between, and whether [uplink] hub names the right port",
    "own-certificate": "the hub does not know this certificate: see *own certificate* above, and [sync] ca at the hub",
    "captive-portal": "log in there, or have this box let through",
    "proxy": "look at [uplink] proxy, or at HTTPS_PROXY in the environment",
    "busy": "nothing: the hub asks for patience",
    "unknown-gateway": "add this gateway's id to [sync] gateways of the hub",
}
_OCPI = "docs/operations.md, *OCPI without a hub of ours*"
_ANY = "docs/operations.md, *The way to the hub*, has a table of what it can be"


def clock(settings: Settings, at: datetime) -> Iterator[Finding]:
    """What the time is worth: as the running gateway knows it, or as one would that starts now."""
    check, running = "clock", read_running(settings)
    view = None if running is None or running.vitals is None else running.vitals.clock
    if view is None:
        known = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID")))
        now, right = known.now(), known.system_clock_is_right()
        state, told, bound, by = now.clock, now.at, now.bound, None
        bound_s = None if bound is None else bound.total_seconds()
    else:
        state, told, bound_s, by = ClockState(view.state), view.at, view.bound_s, view.known_by
        right = view.system_clock_right
    text = f"{state.value}: {instant(told)}" + ("" if by is None else f", by the {by}")
    text += "" if bound_s is None else f", give or take {bound_s:.1f} s"
    if state is ClockState.UNKNOWN:
        yield fault(
            check,
            f"{text}; contracts are judged by [policy] clock_unknown",
            "set the clock, let a time daemon run, or bring the uplink back: the hub tells the time",
        )
    elif not right:
        wrong = f"{text}; the system's clock shows something else, which the gateway does not follow"
        yield warning(check, wrong, "set the system's clock: other programs go by it")
    elif state is ClockState.DRIFTING:
        yield note(check, text, "no time source has spoken lately; a time daemon or the hub would")
    else:
        yield good(check, text)


def uplink(settings: Settings, at: datetime) -> Iterator[Finding]:
    """Whether the hub answers now, and takes this gateway for one of its own. Asks for a few hundred octets."""
    if settings.speaks_ocpi:
        yield from peer(settings, at)
        return
    check, hub = "uplink", settings.table.uplink.hub
    try:
        tls = uplink_tls(settings)
    except GatewayError:
        yield note(check, f"{hub} was not tried", "see *own certificate* above")
        return
    running = read_running(settings)
    vitals = None if running is None else running.vitals
    if vitals is None:
        right = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID"))).system_clock_is_right()
    else:
        right = vitals.clock.system_clock_right
    judge_dates(tls, by_system_clock=right)
    try:
        head = decode(SignedListHead, asyncio.run(_asked(settings, tls)), "answer").head
    except GatewayError as error:
        yield fault(check, f"{error.code}: {error}", _REMEDIES.get(error.code, _ANY))
        return
    except MalformedValue as error:
        yield fault(check, f"{hub} answers what no hub does: {error}", _ANY)
        return
    yield good(check, f"{hub} answers; its list has version {head.version}, {counted(head.tokens, 'token')}")
    if vitals is not None and not vitals.online:
        why = f" ({vitals.uplink_trouble})" if vitals.uplink_trouble else ""
        yield note(check, f"the running gateway is not connected{why}", "it tries again by itself; look at its log")


def peer(settings: Settings, at: datetime) -> Iterator[Finding]:
    """Whether the OCPI peer answers now and knows our token; what waits for it, and what it did not take."""
    check, url = "uplink", settings.far_end
    try:
        asyncio.run(_versions(settings))
    except GatewayError as error:
        yield fault(check, f"{error.code}: {error}", _REMEDIES.get(error.code, _OCPI))
        return
    yield good(check, f"{url} answers, and knows our token")
    found = read_ocpi_standing(settings)
    if found is None:
        yield note(check, "the gateway never ran with this uplink", "start it")
        return
    for trouble in found.troubles:
        yield warning(check, f"{trouble.what}: {trouble.code}: {trouble.message}", _OCPI)
    if found.backlog.held:
        told = f"{counted(found.backlog.held, 'CDR')} cannot be told to anybody: {'; '.join(found.backlog.reasons)}"
        yield warning(check, told, _OCPI)
    if found.backlog.refused:
        yield warning(check, f"the peer refuses {counted(found.backlog.refused, 'CDR')}", _OCPI)
    if found.backlog.waiting:
        yield note(check, f"{counted(found.backlog.waiting, 'CDR')} on the way to the peer")


async def _versions(settings: Settings) -> None:
    """Asks for the peer's versions. Raises GatewayError."""
    from gateway.uplink.ocpi.command import called_peer

    async with called_peer(settings) as called:
        await called.ask("GET", settings.far_end)


async def _asked(settings: Settings, tls: ssl.SSLContext) -> bytes:
    """The signed head of the hub's list for this gateway. Raises UplinkError, ConfigurationError."""
    exchange = HubExchange(link_settings(settings, tls))
    try:
        return await exchange.fetch(PATH_HEAD, most=MAX_HEAD_BYTES)
    finally:
        await exchange.close()
