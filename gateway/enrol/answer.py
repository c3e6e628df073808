"""What the PKI answered, verified before anything is done with it.

Steps, each a refusal (`EnrolmentError`, nothing is kept):
1. one of the certificates holds the key that was asked for                                    wrong-key
2. its path to a held root is sound under the profile that was asked for                wrong-certificate
   (a date that is the cause: not-yet-valid, expired, with the clock of this box)
3. its common name is the one that was asked for                                           wrong-identity
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.x509.oid import NameOID

from gateway.errors import EnrolmentError
from pki.certificate import Certificate, parse_certificate
from pki.errors import IssueError, PKIError
from pki.issue.request import identifier_for
from pki.pem import parse_pem
from pki.profile import AnchorRole, Profile
from pki.service.files import read_file
from pki.verify.chain import verify
from pki.verify.path import identifiers_fit
from pki.verify.trust import TrustStore

_DEPTH = 4
_ROOTS = 16
_ROOT_FILE_CAP = 64 * 1024


def load_backend_roots(path: Path) -> TrustStore:
    """The roots in a PEM file, trusted for TLS between gateway, hub and PKI.

    Raises:
        PKIError: unreadable, or something in it is no root.
    """
    ders = parse_pem(read_file(path, _ROOT_FILE_CAP), max_blocks=_ROOTS, max_characters=_ROOT_FILE_CAP)
    roots = [parse_certificate(der, index=index) for index, der in enumerate(ders)]
    for index, root in enumerate(roots):
        if not root.self_issued or root.basic_constraints is None or not root.basic_constraints.ca:
            raise IssueError("no-root", f"{path}: certificate {index} is no root", index=index)
    return TrustStore({AnchorRole.BACKEND: roots})


def own_leaf(answered: Sequence[bytes], spki_der: bytes) -> Certificate:
    """Step 1: the certificate for our key.

    Raises:
        EnrolmentError: "wrong-key"; "wrong-certificate" for one that cannot be read.
    """
    for der in answered:
        try:
            certificate = parse_certificate(der)
        except PKIError as error:
            raise EnrolmentError("wrong-certificate", f"the PKI answered an unreadable certificate: {error}") from error
        if certificate.spki_der == spki_der:
            return certificate
    raise EnrolmentError("wrong-key", "the PKI answered a certificate for another key than the one that was made here")


def verify_answer(
    leaf: Certificate,
    authorities: Sequence[bytes],
    *,
    profile: Profile,
    common_name: str,
    trust: TrustStore,
    at: datetime,
) -> tuple[Certificate, ...]:
    """Steps 2 and 3: the chain to be used, the leaf first, without the root. `authorities` are certificates (DER) that
    may stand above it, in any order.

    Raises:
        EnrolmentError: "wrong-certificate", "not-yet-valid", "expired", "wrong-identity".
    """
    chain = [leaf.der, *_above(leaf, authorities)]
    try:
        verified = verify(chain, profile=profile, trust=trust, at=at)
        named = [text or "" for text in leaf.attributes(NameOID.COMMON_NAME)]
        same = len(named) == 1 and identifier_for(profile, named[0]) == identifier_for(profile, common_name)
    except PKIError as error:
        if error.code in ("not-yet-valid", "expired"):
            message = f"{error}; is the clock of this box right, and that of the PKI?"
            raise EnrolmentError(error.code, message) from error
        message = f"the PKI answered a certificate that is no {profile.name}: {error.code}: {error}"
        raise EnrolmentError("wrong-certificate", message) from error
    if not same:
        raise EnrolmentError("wrong-identity", f"the PKI answered a certificate for {named!a}, not for {common_name!a}")
    return verified.path[:-1]


def _above(leaf: Certificate, authorities: Sequence[bytes]) -> list[bytes]:
    """The sub-CAs that may lead from the leaf up, nearest first; what cannot be read leads nowhere."""
    known: list[Certificate] = []
    for der in authorities:
        try:
            known.append(parse_certificate(der))
        except PKIError:
            continue
    path: list[Certificate] = []
    below = leaf
    while len(path) < _DEPTH:
        fitting = [each for each in known if each.subject_der == below.issuer_der and identifiers_fit(below, each)]
        if not fitting or fitting[0].self_issued or fitting[0] in path:
            break
        below = fitting[0]
        path.append(below)
    return [certificate.der for certificate in path]
