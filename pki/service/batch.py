"""Many chains in one run: a JSON object on each line, a verdict for each line.

Rules of this file
1. A line is judged alone: whatever is wrong with it, the answer is one object with its id, and the next line is read.
2. No root is trusted for a role that nobody gave it. A line gives its anchors by role, or as a plain list; the roots of
   a list count for the roles of the profile that stand above sub-CAs (`Profile.unnamed_roles`), never as private ones.
   The profile "rfc5280" asks for no role, so there both forms mean the same.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import msgspec

from pki.errors import MalformedCertificate, PKIError, TrustError
from pki.pem import parse_chain_pem, parse_pem
from pki.profiles import AnchorRole
from pki.service.json_lines import NO_ID, echo_id, id_of, read_lines
from pki.service.paths import judge_path_texts
from pki.service.verdicts import (
    DEFAULT_PROFILE,
    Question,
    Verdict,
    judge,
    parse_instant,
    profile_of,
    refused_input,
)
from pki.verify import ChainVerifier, RevocationEvidence, TrustStore
from pki.verify.crl import CRL_CAP
from pki.verify.ocsp import OCSP_CAP
from pki.verify.policy import STRICT, VerifyPolicy, parse_policy
from pki.verify.rfc5280 import PROFILE_NAME as RFC5280

LINE_CAP = 64 * 1024 * 1024
"""Bytes of one batch line; a longer one is malformed and is skipped to its end."""

_TRUST_PEM_CAP = 256 * 1024
_TRUST_BLOCKS = 64
_ANCHORS = 256
"""Anchors of one line: an operator holds some dozens, and work grows with them."""
_CRL_PEM_CAP = CRL_CAP // 2 * 3


class BatchAnswer(Verdict, frozen=True, kw_only=True):
    """A verdict with the id of the line it answers, echoed character for character; null where none could be read."""

    id: msgspec.Raw


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a batch; fields that are not listed here are ignored. `trust`: PEM texts by role, or without one.
    `emaid` and `policy` are nothing to the profile "rfc5280": whatever another suite calls "policy" does not matter."""

    id: msgspec.Raw
    chain: list[str]
    trust: dict[str, list[str]] | list[str]
    at: str
    profile: str | None = None
    crls: list[str] = []
    ocsps: list[str] = []
    emaid: str | None = None
    max_chain_depth: int | None = None
    require_revocation: bool = False
    policy: object = []


class _Given(NamedTuple):
    """The anchors of one field of a line and the roles they count for."""

    field: str
    roles: tuple[AnchorRole, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What is asked of every line, whatever it asks itself. `profile` is that of lines that name none; `policy` is not
    for the profile "rfc5280", which has no switches."""

    profile: str = DEFAULT_PROFILE
    require_revocation: bool = False
    policy: VerifyPolicy = STRICT


def run_batch(stream: BinaryIO, demands: Demands) -> Iterator[bytes]:
    """One JSON object, line feed included, for each line of `stream` that is not blank, as soon as it is judged."""
    for line in read_lines(stream, LINE_CAP):
        if line is None:
            error = MalformedCertificate("size-limit", f"line longer than {LINE_CAP} bytes")
            yield _answer_line(NO_ID, refused_input(error))
        else:
            yield _judge_line(line, demands)


def _judge_line(line: bytes, demands: Demands) -> bytes:
    try:
        request = msgspec.json.decode(line, type=BatchRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        refusal = MalformedCertificate("malformed-request", f"line is not a request: {error}")
        return _answer_line(id_of(line), refused_input(refusal))
    try:
        verdict = _judge_request(request, demands)
    except PKIError as error:
        verdict = refused_input(error)
    return _answer_line(echo_id(bytes(request.id)), verdict)


def _judge_request(request: BatchRequest, demands: Demands) -> Verdict:
    at = parse_instant(request.at)
    ocsps = tuple(_ocsp_der(answer, index) for index, answer in enumerate(request.ocsps))
    asked = demands.profile if request.profile is None else request.profile
    required = demands.require_revocation or request.require_revocation
    if asked == RFC5280:
        return judge_path_texts(
            request.chain,
            trust=[text for given in _by_role(request.trust, ()) for text in given.texts],
            at=at,
            crls=request.crls,
            ocsps=ocsps,
            max_intermediates=request.max_chain_depth,
            require_revocation=required,
        )
    chain = parse_chain_pem("\n".join(request.chain))
    profile = profile_of(asked, chain)
    trust, policy = _by_role(request.trust, profile.unnamed_roles), demands.policy | _policy(request.policy)
    return judge(
        Question(
            chain=chain,
            profile=profile,
            verifier=_verifier(trust, tuple(request.crls), ocsps, policy),
            at=at,
            emaid=request.emaid,
            max_intermediates=request.max_chain_depth,
            require_revocation=required,
        )
    )


def _policy(switches: object) -> VerifyPolicy:
    try:
        return parse_policy(msgspec.convert(switches, list[str]))
    except msgspec.MsgspecError as error:
        raise MalformedCertificate("malformed-request", f"policy is no list of switches: {error}") from error


def _by_role(trust: Mapping[str, list[str]] | list[str], unnamed: tuple[AnchorRole, ...]) -> tuple[_Given, ...]:
    """What is held for which roles; `unnamed` are those of a plain list."""
    if isinstance(trust, list):
        return (_Given("trust", unnamed, tuple(trust)),)
    return tuple(_Given(f"trust.{name}", (_role(name),), tuple(texts)) for name, texts in trust.items())


def _role(name: str) -> AnchorRole:
    try:
        return AnchorRole(name)
    except ValueError as error:
        known = ", ".join(role.value for role in AnchorRole)
        raise MalformedCertificate("malformed-request", f"trust: no role {name[:40]!a}; expected {known}") from error


# The lines of a batch mostly share their anchors and lists; what is made of them depends on the arguments only.
@lru_cache(maxsize=4)
def _verifier(
    trust: tuple[_Given, ...], crls: tuple[str, ...], ocsps: tuple[bytes, ...], policy: VerifyPolicy
) -> ChainVerifier:
    return ChainVerifier(_trust(trust), _evidence(crls, ocsps), policy)


@lru_cache(maxsize=16)
def _trust(trust: tuple[_Given, ...]) -> TrustStore:
    _check_count("texts", sum(len(given.texts) for given in trust))
    held: dict[AnchorRole, list[bytes]] = {}
    count = 0
    for given in trust:
        found = _anchors(given)
        count += len(found)
        held.update((role, found) for role in given.roles)
    _check_count("anchors", count)
    return TrustStore.from_der(held)


def _check_count(what: str, count: int) -> None:
    if count > _ANCHORS:
        raise TrustError("size-limit", f"trust holds {count} {what}, at most {_ANCHORS}")


def _anchors(given: _Given) -> list[bytes]:
    found: list[bytes] = []
    for index, text in enumerate(given.texts):
        try:
            found += parse_pem(text, max_blocks=_TRUST_BLOCKS, max_characters=_TRUST_PEM_CAP)
        except MalformedCertificate as error:
            raise TrustError("anchor-malformed", f"{given.field} {index}: {error}") from error
    return found


@lru_cache(maxsize=4)
def _evidence(crls: tuple[str, ...], ocsps: tuple[bytes, ...]) -> RevocationEvidence:
    found: list[bytes] = []
    for index, text in enumerate(crls):
        try:
            found += parse_pem(text, label="X509 CRL", max_blocks=_TRUST_BLOCKS, max_characters=_CRL_PEM_CAP)
        except MalformedCertificate as error:
            raise TrustError("malformed-crl", f"crls {index}: {error}") from error
    return RevocationEvidence(found, ocsps)


def _ocsp_der(answer: str, index: int) -> bytes:
    try:
        der = base64.b64decode(answer, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TrustError("malformed-ocsp", f"ocsps {index} is not base64: {error}") from error
    if len(der) > OCSP_CAP:
        raise TrustError("size-limit", f"ocsps {index} has {len(der)} bytes, at most {OCSP_CAP}")
    return der


def _answer_line(id_: msgspec.Raw, verdict: Verdict) -> bytes:
    answer = BatchAnswer(id=id_, **{name: getattr(verdict, name) for name in verdict.__struct_fields__})
    return msgspec.json.encode(answer) + b"\n"
