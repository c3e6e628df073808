"""What the site trusts: the anchors and lists that the operator put there, and what was fetched and verified since.

Rules
1. The operator's anchors always count. A fetched list of roots adds to them, and what it no longer names is gone again;
   it never adds a backend root, because such a root is what lists are verified by.
2. What was fetched is verified again here: the store is a memory.
3. A list of roots that has run out goes on counting for the grace of [policy] revocation_stale_grace_h, so that a site
   without an uplink does not stop; then it counts no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.config import Settings
from gateway.decide.contract import Trust
from gateway.errors import ConfigurationError
from gateway.store.evidence import EvidenceStore, KeptTrustList
from pki.errors import PKIError, TrustError
from pki.service.files import load_crls, load_trust
from pki.verify.revocation import RevocationEvidence
from pki.verify.trust import AnchorRole, TrustStore
from pki.verify.trust_list import LISTED_ROLES, VerifiedTrustList, verify_trust_list


@dataclass(frozen=True, slots=True)
class SiteTrust:
    """Trust as it is loaded at one instant. `files` are the operator's anchors alone; `listed` is the list that
    counts, `remark` why the one that is kept does not."""

    trust: Trust
    files: TrustStore
    listed: VerifiedTrustList | None = None
    remark: str | None = None


def load_site_trust(settings: Settings, store: EvidenceStore | None = None, at: datetime | None = None) -> SiteTrust:
    """The anchors and lists that the configuration names, with what `store` holds, as they count at `at`.

    Raises:
        ConfigurationError: a file of the operator's cannot be used.
        StoreError: the store cannot be read.
    """
    table = settings.table.trust
    try:
        files = load_trust(settings.folder / table.anchors)
        crls = load_crls([settings.folder / name for name in table.crls])
        evidence = RevocationEvidence(crls=crls)
    except (PKIError, OSError) as error:
        raise ConfigurationError(f"[trust] {error}") from error
    if store is None or at is None:
        return SiteTrust(Trust(anchors=files, revocation=evidence), files)
    grace = timedelta(hours=settings.table.policy.revocation_stale_grace_h)
    answers, damage = [answer.der for answer in store.answers()], None
    try:
        evidence = RevocationEvidence(crls=[*crls, *store.crls()], ocsps=answers)
    except TrustError as error:
        damage = f"what was fetched cannot be read, so it does not count: {error}"
    listed, remark = _listed(store.trust_list(), files, evidence, at, grace)
    remark = remark or damage
    return SiteTrust(Trust(anchors=_joined(files, listed), revocation=evidence), files, listed, remark)


def _listed(
    kept: KeptTrustList | None, files: TrustStore, revocation: RevocationEvidence, at: datetime, grace: timedelta
) -> tuple[VerifiedTrustList | None, str | None]:
    """The list of roots, verified as of now, or as of its end while the grace lasts; else why it does not count."""
    if kept is None:
        return None, None
    if at - kept.next_update > grace:
        return None, f"the list of roots ran out {kept.next_update}, more than {grace} ago; it counts no longer"
    try:
        then = min(at, kept.next_update)
        found = verify_trust_list(kept.der, trust=files, at=then, floor_version=0, revocation=revocation)
    except TrustError as error:
        return None, f"the list of roots that is kept does not count: {error}"
    return found, None


def _joined(files: TrustStore, listed: VerifiedTrustList | None) -> TrustStore:
    if listed is None:
        return files
    more = {role: listed.anchors(role) for role in LISTED_ROLES}
    return TrustStore({role: [*files.anchors(role), *more.get(role, ())] for role in AnchorRole})
