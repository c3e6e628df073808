"""The papers: the own certificate and key, the hub's CA, the anchors and lists that chains are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from gateway.config import Settings
from gateway.doctor.finding import Finding, fault, good, note, warning
from gateway.enrol.identity import load_identity
from gateway.errors import ConfigurationError, EnrolmentError, StoreError
from gateway.store.database import open_reader
from gateway.store.evidence import EvidenceStore, read_sources
from gateway.tls import uplink_tls
from gateway.trust import load_site_trust
from gateway.wording import counted, instant
from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.pem import CHAIN_PEM_CAP, parse_pem
from pki.service.files import load_crls, read_file
from pki.verify.crl import parse_crl
from pki.verify.trust import AnchorRole, TrustStore

_NO_MO = "no root of the mo role: the contracts of mobility operators with a root of their own are refused"
ENDS_SOON = timedelta(days=30)
_CERTIFICATES = 20


def own_pair(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The certificate that the hub is shown, with its key."""
    check = "own certificate"
    if settings.speaks_ocpi and settings.table.uplink.certificate is None:
        yield good(check, "none is needed: an OCPI peer knows this site by its token")
        return
    try:
        uplink_tls(settings)
        leaf = _own_leaf(settings)
    except (ConfigurationError, EnrolmentError) as error:
        yield fault(check, str(error), "docs/operations.md, *The gateway's own certificate*")
        return
    until = f"valid until {instant(leaf.not_after)}"
    if at < leaf.not_before:
        yield fault(check, f"not valid before {instant(leaf.not_before)}", "look at the clock of this box first")
    elif at > leaf.not_after:
        yield fault(check, f"ended {instant(leaf.not_after)}", _renew(settings))
    elif leaf.not_after - at < ENDS_SOON and settings.table.enrol is None:
        yield warning(check, until, _renew(settings))
    else:
        days = f"{(leaf.not_after - at) / timedelta(days=1):.0f} days left"
        renewed = ", renewed by itself" if settings.table.enrol is not None else ""
        yield good(check, f"{until} ({days}{renewed}); its key fits and is for its owner alone")


def _own_leaf(settings: Settings) -> Certificate:
    """Raises ConfigurationError, EnrolmentError."""
    name = settings.table.uplink.certificate
    if name is None:
        return load_identity(settings.identity_path).leaf
    path = settings.file(name, "[uplink] certificate")
    try:
        text = read_file(path, CHAIN_PEM_CAP).decode("ascii", "replace")
        return parse_certificate(parse_pem(text, max_blocks=_CERTIFICATES, max_characters=CHAIN_PEM_CAP)[0])
    except (PKIError, IndexError) as error:
        raise ConfigurationError(f"[uplink] certificate {name!r}: {error}") from error


def _renew(settings: Settings) -> str:
    if settings.table.enrol is not None:
        return "get a new one with `pnc-gateway enrol`; `pnc-gateway status` says why renewal failed"
    return "put a new certificate and key in the place that [uplink] names, and restart"


def anchors(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The roots that chains may end in, by role."""
    check = "trust anchors"
    try:
        trust = load_site_trust(settings)
    except ConfigurationError as error:
        yield fault(check, str(error), "put root certificates there, as docs/first-site.md shows")
        return
    yield good(check, f"{_by_role(trust.files)} in {settings.folder / settings.table.trust.anchors}")
    yield from _roots(trust.files, at)
    refresh = settings.table.trust.refresh
    if refresh is not None and refresh.trust_list is not None:
        yield from _listed(settings, at)
    elif not trust.files.anchors(AnchorRole.MO):
        yield warning(check, _NO_MO, "put their roots into the mo folder, or have them by [trust.refresh] trust_list")


def _listed(settings: Settings, at: datetime) -> Iterator[Finding]:
    """What the fetched list of roots adds to the operator's own."""
    check = "trust anchors"
    try:
        with closing(EvidenceStore(settings.evidence_path, read_only=True)) as store:
            trust = load_site_trust(settings, store, at)
    except StoreError:  # No such file, or a damaged one: `sources` says so.
        yield note(check, "no list of roots is here yet", "[trust.refresh] fetches it when the gateway runs")
        return
    if trust.listed is not None:
        named = f"the list of roots, version {trust.listed.version} until {instant(trust.listed.next_update)}"
        yield good(check, f"{_by_role(trust.trust.anchors)} with {named}")
    if trust.remark is not None:
        yield warning(check, trust.remark, "see *sources* below on why no newer one came")
    if not trust.trust.anchors.anchors(AnchorRole.MO):
        yield warning(check, _NO_MO, "put their roots into the mo folder, or ask the PKI that signs the list of roots")


def _by_role(roots: TrustStore) -> str:
    held = {role.value: len(roots.anchors(role)) for role in AnchorRole}
    return ", ".join(f"{count} {role}" for role, count in held.items() if count)


def _roots(files: TrustStore, at: datetime) -> Iterator[Finding]:
    for role in AnchorRole:
        for root in files.anchors(role):
            named = f"{role.value} root {root.serial:x}"
            if at > root.not_after:
                yield fault("trust anchors", f"{named} ended {instant(root.not_after)}", "put its successor there")
            elif root.not_after - at < ENDS_SOON:
                yield warning("trust anchors", f"{named} ends {instant(root.not_after)}", "put its successor there")


def revocation(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The revocation lists that the operator put there; what is fetched is told by `sources`."""
    check, paths = "revocation lists", [settings.folder / name for name in settings.table.trust.crls]
    grace = timedelta(hours=settings.table.policy.revocation_stale_grace_h)
    if not paths and settings.table.trust.refresh is None:
        yield warning(
            check,
            "none: no chain can be told from a revoked one, so [policy] revocation_unknown decides",
            "name lists in [trust] crls, or have them fetched with [trust.refresh]",
        )
    ends = []
    for path in paths:
        try:
            found = [parse_crl(der).next_update for der in load_crls([path])]
        except (PKIError, OSError) as error:
            yield fault(check, f"{path}: {error}", "put a list there that can be read, or take it out of [trust] crls")
            continue
        ends += [until for until in found if until is not None and until >= at]
        late = min((until for until in found if until is not None and until < at), default=None)
        if late is not None and at > late + grace:
            yield fault(check, f"{path}: ended {instant(late)}, it counts no longer", "get the newest list")
        elif late is not None:
            yield warning(check, f"{path}: ended {instant(late)}, its grace runs", "get the newest list")
    if ends:
        yield good(check, f"{counted(len(ends), 'list')}, the first of them ends {instant(min(ends))}")


def sources(settings: Settings, at: datetime) -> Iterator[Finding]:
    """How the fetching of lists, answers and certificates went last."""
    check = "sources"
    if not settings.evidence_path.is_file():
        if settings.table.trust.refresh is not None:
            yield note(check, "nothing was fetched yet", "it begins when the gateway runs")
        return
    try:
        with closing(open_reader(settings.evidence_path)) as connection:
            found = read_sources(connection)
    except StoreError as error:
        yield fault(check, str(error), "stop the gateway and start it again: what can be fetched is fetched anew")
        return
    well = sum(each.code is None for each in found)
    if well:
        yield good(check, f"{counted(well, 'source')} fetched and verified")
    for each in found:
        if each.code is not None:
            since = f", last good {instant(each.good_at)}" if each.good_at else ", never good"
            text = f"{each.name}: {each.code}: {each.message}{since}"
            yield warning(check, text, "the message says what is wrong; it is tried again by itself")
