"""The end of a verification: what the request claims and what the evidence says of a path that is sound by itself.

A `SoundChain` has passed steps 1 to 10 of `pki.verify.chain`, at some instant; `conclude` takes steps 11 and 12 and is
the only thing that builds a `VerifiedChain`. The two halves are apart because the first may be kept (`cache`), the
second is asked every time.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime

import msgspec
from msgspec.structs import force_setattr

from pki.certificate import Certificate
from pki.errors import Finding, IdentifierError, NoEvidence
from pki.identifiers import EMAID, parse_contract_id
from pki.profile import AnchorRole
from pki.verify.judgement import Judgement
from pki.verify.path import Link
from pki.verify.revocation import Evidence, RevocationEvidence, RevocationState, worst
from pki.verify.statements import Source
from pki.verify.trust import Anchor

_BUILT_BY_VERIFY = object()
_NOTHING_SAID = Evidence(RevocationState.UNKNOWN)


class VerifiedChain(msgspec.Struct, frozen=True, kw_only=True):
    """A chain that passed every step of `verify`; nothing else can build one.

    `path` runs from the leaf to the anchor, both included. `not_after` is the end of the shortest life on the path:
    the answer must not be used after it. `revocation` is the worst state over leaf, Sub2 and Sub1, `revocation_at` the
    oldest thisUpdate behind it (None: no list spoke), `stale_since` when a stale state stopped being a good one.
    """

    leaf: Certificate
    path: tuple[Certificate, ...]
    anchor_role: AnchorRole
    emaid: EMAID | None
    revocation: RevocationState
    revocation_at: datetime | None
    findings: tuple[Finding, ...]
    profile: str
    verified_at: datetime
    not_after: datetime
    stale_since: datetime | None = None
    token: object = None

    def __post_init__(self) -> None:
        if self.token is not _BUILT_BY_VERIFY:
            raise TypeError("a VerifiedChain comes from pki.verify.verify only")
        # So that nobody can take the token from one chain to build another.
        force_setattr(self, "token", None)


class SoundChain(msgspec.Struct, frozen=True):
    """A path that passed steps 1 to 10, leaf first. `path`: its certificates and the anchor's. `judgement` holds what
    was tolerated so far. `alone`: no other path was possible with what was presented."""

    links: list[Link]
    path: tuple[Certificate, ...]
    anchor: Anchor
    emaid: EMAID | None
    judgement: Judgement
    alone: bool


def conclude(
    sound: SoundChain,
    *,
    at: datetime,
    revocation: RevocationEvidence | None,
    emaid: str | EMAID | None,
    require_revocation: bool,
) -> tuple[VerifiedChain, Evidence]:
    """Steps 11 and 12 at the instant `at`, with the evidence, which tells how long the same would be concluded. A
    `sound` chain may be concluded any number of times.

    Raises:
        ChainRejected: "emaid-mismatch", "revoked".
        NoEvidence: "revocation-unknown" or "revocation-stale", only with `require_revocation`.
    """
    judgement = sound.judgement
    evidence = _NOTHING_SAID
    if emaid is not None or revocation is not None or require_revocation:
        judgement = judgement.attempt()
        if emaid is not None:
            judgement.step = 11
            _check_claim(emaid, sound.emaid, judgement)
        judgement.step = 12
        evidence = _check_revocation(sound, at, revocation, judgement, require_revocation)
    verified = VerifiedChain(
        leaf=sound.path[0],
        path=sound.path,
        anchor_role=sound.anchor.role,
        emaid=sound.emaid,
        revocation=evidence.state,
        revocation_at=evidence.at,
        findings=judgement.findings,
        profile=judgement.profile.name,
        verified_at=at,
        not_after=min([certificate.not_after for certificate in sound.path]),
        stale_since=evidence.stale_since,
        token=_BUILT_BY_VERIFY,
    )
    return verified, evidence


def concluded_at(verified: VerifiedChain, at: datetime) -> VerifiedChain:
    """The same chain, verified at `at`; for a caller who knows that nothing else would be concluded then."""
    again = copy(verified)
    force_setattr(again, "verified_at", at)
    return again


def _check_claim(claimed: str | EMAID, found: EMAID | None, judgement: Judgement) -> None:
    """Step 11. A claim may be in any form of the account's identifier; one that is none does not match."""
    if found is None:
        judgement.reject("emaid-mismatch", "an EMAID was claimed, but this leaf has none", index=0)
    try:
        wanted = parse_contract_id(claimed) if isinstance(claimed, str) else claimed
    except IdentifierError as error:
        judgement.reject("emaid-mismatch", f"the claimed EMAID cannot be read: {error}", index=0)
    if wanted.normal != found.normal:
        judgement.reject("emaid-mismatch", f"claimed {wanted.normal}, the leaf is {found.normal}", index=0)
    if not wanted.check_valid:
        judgement.tolerate("emaid-check-character", f"the claimed EMAID {wanted.normal} has a wrong check character")


def _check_revocation(
    sound: SoundChain, at: datetime, revocation: RevocationEvidence | None, judgement: Judgement, required: bool
) -> Evidence:
    """Step 12: leaf first; the anchor is not asked about, it is trusted by being held."""
    links = sound.links
    if revocation is None and not required:
        return _NOTHING_SAID
    found = [_NOTHING_SAID] * len(links) if revocation is None else revocation.along(sound.path, at)
    for link, evidence in zip(links, found, strict=True):
        for note in evidence.notes:
            code, what = ("crl-unusable", "a CRL") if note.source is Source.CRL else ("ocsp-unusable", "an OCSP answer")
            judgement.tolerate(code, f"{what} for the {link.rule.name} was not used: {note.text}", index=link.index)
    for link, evidence in zip(links, found, strict=True):
        if evidence.state is RevocationState.REVOKED:
            message = f"the {link.rule.name} is revoked ({evidence.source} of {evidence.at})"
            judgement.reject("revoked", message, index=link.index)
    whole = worst(found)
    if required and whole.state is not RevocationState.GOOD:
        index = next(link.index for link, evidence in zip(links, found, strict=True) if evidence.state is whole.state)
        code = f"revocation-{whole.state.value}"
        raise NoEvidence(
            code,
            f"revocation of the {links[0].rule.name}'s path is {whole.state.value}, and evidence was demanded",
            revocation=whole.state.value,
            findings=judgement.findings,
            emaid=judgement.emaid,
            clause=judgement.profile.clause(code),
            index=index,
        )
    return whole
