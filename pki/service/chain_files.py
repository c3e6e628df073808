"""One chain with its trust and its evidence as files, and the verdict on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pki.errors import PKIError, TrustError
from pki.pem import CHAIN_PEM_CAP, parse_chain_pem
from pki.service.files import crls_by_file, load_trust, read_file
from pki.service.paths import PATH_PEM_CAP, judge_path_files
from pki.service.verdicts import (
    ExplainedVerdict,
    Question,
    Verdict,
    explained,
    explained_error,
    judge,
    judge_explained,
    profile_of,
    refused_input,
)
from pki.verify import ChainVerifier, RevocationEvidence
from pki.verify.ocsp import OCSP_CAP
from pki.verify.policy import STRICT, VerifyPolicy
from pki.verify.rfc5280 import PROFILE_NAME as RFC5280


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFiles:
    """What `pnc-pki verify` is given. `content`: the chain itself when it does not come from the file `chain`."""

    chain: Path
    trust: Path
    profile: str
    at: datetime
    content: bytes | None = None
    crls: tuple[Path, ...] = ()
    ocsps: tuple[Path, ...] = ()
    emaid: str | None = None
    require_revocation: bool = False
    policy: VerifyPolicy = STRICT


def chain_cap(profile: str) -> int:
    """The characters of PEM that a chain may have."""
    return PATH_PEM_CAP if profile == RFC5280 else CHAIN_PEM_CAP


def judge_files(files: ChainFiles) -> Verdict:
    """The verdict; unusable input is a verdict too."""
    try:
        return _judge_paths(files) if files.profile == RFC5280 else judge(_question(files))
    except PKIError as error:
        return refused_input(error)


def explain_files(files: ChainFiles) -> ExplainedVerdict:
    """The verdict with every step explained; without steps for "rfc5280" and for input that was never judged."""
    try:
        if files.profile == RFC5280:
            return explained(_judge_paths(files))
        return judge_explained(_question(files))
    except PKIError as error:
        return explained_error(error)


def _judge_paths(files: ChainFiles) -> Verdict:
    return judge_path_files(
        _content(files),
        trust=files.trust,
        at=files.at,
        crls=files.crls,
        ocsps=[read_file(path, OCSP_CAP) for path in files.ocsps],
        require_revocation=files.require_revocation,
    )


def _question(files: ChainFiles) -> Question:
    chain = parse_chain_pem(_content(files))
    profile = profile_of(files.profile, chain)
    trust = load_trust(files.trust, profile.unnamed_roles)
    return Question(
        chain=chain,
        profile=profile,
        verifier=ChainVerifier(trust, _evidence(files), files.policy),
        at=files.at,
        emaid=files.emaid,
        require_revocation=files.require_revocation,
    )


def _evidence(files: ChainFiles) -> RevocationEvidence:
    """The lists and the answers; one that cannot be read is named by its file."""
    lists = list(crls_by_file(files.crls))
    answers = [(path, read_file(path, OCSP_CAP)) for path in files.ocsps]
    try:
        return RevocationEvidence([der for _, der in lists], [der for _, der in answers])
    except TrustError:
        for path, der in lists:
            _read_alone(path, crls=[der])
        for path, der in answers:
            _read_alone(path, ocsps=[der])
        raise


def _read_alone(path: Path, *, crls: Sequence[bytes] = (), ocsps: Sequence[bytes] = ()) -> None:
    try:
        RevocationEvidence(crls, ocsps)
    except TrustError as error:
        raise TrustError(error.code, f"{path}: {error}") from error


def _content(files: ChainFiles) -> bytes:
    return read_file(files.chain, chain_cap(files.profile)) if files.content is None else files.content
