"""Authorizing by hashes alone: OCPP's `iso15118CertificateHashData` names certificates and shows none of them.

A name proves nothing. What is judged is a chain that was shown and verified before (`Bindings`) and is named again,
with the trust, the time and the revocation evidence of today. Steps, in this order; the code repeats the numbers:

1. 1 to 4 entries, each readable                                          hash-data-count, malformed-hash-data
2. exactly one leaf that was seen is named, by issuer's name, issuer's key and serial number
                              binding-unknown, hash-data-ambiguous; revoked, when the issuer's evidence says so
3. every other entry names a certificate of that leaf's path, the anchor included            hash-data-foreign
4. the EMAID of the request is that leaf's                                                      emaid-mismatch
5. the anchor of the path is still held for its role                                            anchor-unknown
6. every certificate of the path is in its validity                                     expired, not-yet-valid
7. the whole path is good by verified evidence, or stale within the grace
                                                                revoked, revocation-unknown, revocation-stale

A serial number of decimal digits only has two readings (`pki.verify.hash_text`). The one that was seen counts; when
both were seen under one issuer, nobody knows which is meant, and the request is refused.

Source: OCPP 2.0.1 part 2, C07.FR.01, C07.FR.05, C07.FR.17; RFC 6960 4.1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NoReturn

from pki.certificate import Certificate
from pki.errors import ChainRejected, Finding, IdentifierError, Severity
from pki.identifiers import EMAID, parse_contract_id
from pki.verify.bindings import Binding, Bindings
from pki.verify.certificate_id import issuer_id
from pki.verify.hash_text import CertificateName, HashData, read_hash_data
from pki.verify.revocation import Evidence, Grace, RevocationEvidence, RevocationState, Subject, worst
from pki.verify.statements import Source
from pki.verify.trust import TrustStore

ENTRIES = 4
"""Entries of one request: leaf, Sub2, Sub1 and, from chargers that append it, the root."""

_CLAUSE = "OCPP 2.0.1 C07.FR.17"
_NO_GRACE = Grace(timedelta(0))
_BUILT_HERE = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashVerdict:
    """A leaf that was named by hashes, and passed every step of `judge_hash_data`; nothing else can build one.

    `revocation` is good, or stale within the grace (then with the finding "revocation-grace"); `revocation_at` the
    oldest thisUpdate behind it. `learned_at` is when the chain itself was last verified. The verdict must not be used
    after `not_after`.
    """

    emaid: EMAID
    leaf_sha256: str
    path: tuple[Certificate, ...]
    revocation: RevocationState
    revocation_at: datetime | None
    findings: tuple[Finding, ...]
    learned_at: datetime
    judged_at: datetime
    not_after: datetime
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _BUILT_HERE:
            raise TypeError("a HashVerdict comes from pki.verify.hash_data.judge_hash_data only")


def judge_hash_data(
    entries: Sequence[HashData],
    emaid: str | EMAID,
    bindings: Bindings,
    evidence: RevocationEvidence,
    at: datetime,
    *,
    trust: TrustStore,
    grace: Grace = _NO_GRACE,
    issuers: Iterable[Certificate] = (),
) -> HashVerdict:
    """The verdict on a request that names its contract certificate by hashes, at the instant `at` (aware).

    `issuers` are further sub-CAs that the caller has verified: with their evidence a revoked certificate is told from
    one that is merely unknown. Evidence is always demanded here. Cost: a few hashes and look-ups, no signature.

    Raises:
        MalformedCertificate: "malformed-hash-data".
        ChainRejected: a step refused; `code` as in the list at the head of this file; `index` is the entry's (steps 1
            to 3) or the certificate's place on the path, 0 the leaf (steps 5 to 7).
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError("judge_hash_data needs an aware instant")
    if not 1 <= len(entries) <= ENTRIES:  # 1
        _reject("hash-data-count", f"{len(entries)} entries of certificate hash data, expected 1 to {ENTRIES}")
    names = [read_hash_data(entry, index) for index, entry in enumerate(entries)]
    binding = _named_leaf(names, bindings)  # 2
    if binding is None:
        _reject_unknown(names, {*bindings.issuers(), *issuers}, evidence, at)
    path = binding.path()
    for index, name in enumerate(names):  # 3
        if not any(_names(name, certificate, issuer) for certificate, issuer in pairwise((*path, path[-1]))):
            _reject("hash-data-foreign", f"entry {index} names no certificate of the leaf's path", index)
    _check_claim(emaid, binding)  # 4
    if path[-1] not in trust.anchors(binding.anchor_role):  # 5
        message = f"the anchor of the path is no longer held for the role {binding.anchor_role.value}"
        _reject("anchor-unknown", message, len(path) - 1)
    _check_validity(path, at)  # 6
    whole, findings = _check_revocation(path, evidence, at, grace)  # 7
    return HashVerdict(
        emaid=binding.emaid,
        leaf_sha256=binding.leaf_sha256,
        path=path,
        revocation=whole.state,
        revocation_at=whole.at,
        findings=findings,
        learned_at=binding.learned_at,
        judged_at=at,
        not_after=binding.not_after,
        token=_BUILT_HERE,
    )


def check_names_path(entries: Sequence[HashData], path: Sequence[Certificate]) -> None:
    """Return if hash data that came beside a chain speaks of that chain: each entry names a certificate of its verified
    `path` (leaf first, the anchor at its end), and one of them the leaf. What the entries add is only doubt: a message
    that names two contracts is believed about neither.

    Raises:
        MalformedCertificate: "malformed-hash-data".
        ChainRejected: "hash-data-count", "hash-data-foreign"; `index` is the entry's.
    """
    if not 1 <= len(entries) <= ENTRIES:
        _reject("hash-data-count", f"{len(entries)} entries of certificate hash data, expected 1 to {ENTRIES}")
    names = [read_hash_data(entry, index) for index, entry in enumerate(entries)]
    for index, name in enumerate(names):
        if not any(_names(name, certificate, issuer) for certificate, issuer in pairwise((*path, path[-1]))):
            _reject("hash-data-foreign", f"entry {index} names no certificate of the chain beside it", index)
    if not any(_names(name, path[0], path[1]) for name in names):
        _reject("hash-data-foreign", "no entry names the leaf of the chain beside it", 0)


def _named_leaf(names: Sequence[CertificateName], bindings: Bindings) -> Binding | None:
    """Step 2: the one leaf among those that were seen which the entries name."""
    found = {
        binding.leaf_sha256: binding
        for name in names
        for serial in name.serials
        for binding in bindings.with_serial(serial)
        if name.issuer == issuer_id(binding.issuers[0], name.issuer.algorithm)
    }
    if len(found) > 1:
        _reject("hash-data-ambiguous", "the entries fit several contract certificates that were seen")
    return next(iter(found.values()), None)


def _names(name: CertificateName, certificate: Certificate, issuer: Certificate) -> bool:
    return certificate.serial in name.serials and name.issuer == issuer_id(issuer, name.issuer.algorithm)


def _reject_unknown(
    names: Sequence[CertificateName], issuers: Iterable[Certificate], evidence: RevocationEvidence, at: datetime
) -> NoReturn:
    """Step 2 without a leaf: revoked when an issuer that is known says so of every reading, unknown otherwise."""
    known = list(issuers)
    for index, name in enumerate(names):
        for issuer in known:
            if name.issuer != issuer_id(issuer, name.issuer.algorithm):
                continue
            subjects = [Subject(serial, False, frozenset()) for serial in name.serials]
            states = {evidence.history(issuer, subject).at(at).state for subject in subjects}
            if states == {RevocationState.REVOKED}:
                _reject("revoked", f"entry {index} names a revoked certificate", index)
    _reject("binding-unknown", "no chain with this leaf was verified here; the charger must send the chain once")


def _check_claim(emaid: str | EMAID, binding: Binding) -> None:
    """Step 4, as step 11 of `verify`: a claim may be in any form of the account; one that is none does not match."""
    try:
        wanted = parse_contract_id(emaid) if isinstance(emaid, str) else emaid
    except IdentifierError as error:
        _reject("emaid-mismatch", f"the claimed EMAID cannot be read: {error}")
    if wanted.normal != binding.emaid.normal:
        _reject("emaid-mismatch", f"claimed {wanted.normal}, the leaf is {binding.emaid.normal}")


def _check_validity(path: Sequence[Certificate], at: datetime) -> None:
    """Step 6; both ends of a validity are inclusive, and expired is told before not yet valid."""
    for index, certificate in enumerate(path):
        if at > certificate.not_after:
            _reject("expired", f"certificate {index} expired {certificate.not_after}, judged at {at}", index)
    for index, certificate in enumerate(path):
        if at < certificate.not_before:
            _reject("not-yet-valid", f"certificate {index} begins {certificate.not_before}, judged at {at}", index)


def _check_revocation(
    path: Sequence[Certificate], evidence: RevocationEvidence, at: datetime, grace: Grace
) -> tuple[Evidence, tuple[Finding, ...]]:
    """Step 7: the worst state of the path, and what is to be recorded with it."""
    found = evidence.along(path, at)
    for index, each in enumerate(found):
        if each.state is RevocationState.REVOKED:
            _reject("revoked", f"certificate {index} is revoked ({each.source} of {each.at})", index)
    notes = tuple(_note_findings(found))
    whole = worst(found)
    if whole.state is RevocationState.GOOD:
        return whole, notes
    leave = grace.finding(whole, at)
    if leave is None:
        index = next(index for index, each in enumerate(found) if each.state is whole.state)
        message = f"revocation of certificate {index} is {whole.state.value}, and evidence is demanded"
        _reject(f"revocation-{whole.state.value}", message, index, notes)
    return whole, (*notes, leave)


def _note_findings(found: Sequence[Evidence]) -> Iterator[Finding]:
    for index, each in enumerate(found):
        for note in each.notes:
            code = "crl-unusable" if note.source is Source.CRL else "ocsp-unusable"
            yield Finding(code, Severity.TOLERATED, None, index, note.text)


def _reject(code: str, message: str, index: int | None = None, notes: tuple[Finding, ...] = ()) -> NoReturn:
    cause = Finding(code, Severity.REFUSED, _CLAUSE, index, message)
    raise ChainRejected(code, message, findings=(*notes, cause), clause=_CLAUSE, index=index)
