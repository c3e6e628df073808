"""The published conformance vectors: our verifier says what they expect, they are what their declaration makes, they
cover every code and defect, and another engine agrees wherever a chain is to be accepted."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from OpenSSL import crypto

from pki.__main__ import main
from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, MalformedCertificate, NoEvidence, PKIError
from pki.issue.vectors import VectorCase, build_vectors, parse_vector_file, parse_vectors
from pki.pem import parse_chain_pem, parse_pem
from pki.profile import AnchorRole
from pki.profiles import profile_named
from pki.service.verdicts import parse_instant
from pki.verify import ChainVerifier, RevocationEvidence, TrustStore, VerifiedChain, verify
from pki.verify.policy import parse_policy

CERTS = Path(__file__).parents[2] / "certs"
FOLDER = CERTS / "vectors"
FILES = {path.name: parse_vector_file(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
CASES = [case for file in FILES.values() for case in file.cases]
ASKED = ("profile", "at", "chain", "trust", "crls", "ocsps", "emaid", "require_revocation", "policy")
SUITES = ("iso15118-2", "iso15118-20-p521", "iso15118-20-ed448")

Said = tuple[str, str, str | None, int | None, str, tuple[str, ...] | None]


def wanted(case: VectorCase) -> Said:
    """Verdict, code, clause, index, revocation, and the findings of an accepted chain."""
    expected = case.expected
    findings = expected.findings if expected.verdict == "accept" else None
    return expected.verdict, expected.code, expected.clause, expected.index, expected.revocation, findings


def one_block(text: str, label: str = "CERTIFICATE") -> bytes:
    (der,) = parse_pem(text, label=label, max_blocks=1, max_characters=10_000)
    return der


def trust_of(case: VectorCase) -> TrustStore:
    return TrustStore.from_der({AnchorRole(role): map(one_block, roots) for role, roots in case.trust.items()})


def evidence_of(case: VectorCase) -> RevocationEvidence:
    lists = [one_block(text, "X509 CRL") for text in case.crls]
    return RevocationEvidence(lists, [base64.b64decode(answer) for answer in case.ocsps])


def refusal(error: PKIError) -> Said:
    verdict = {ChainRejected: "reject", NoEvidence: "no-evidence", MalformedCertificate: "malformed"}[type(error)]
    revocation = error.revocation if isinstance(error, NoEvidence) else "unknown"
    if error.code == "revoked":
        revocation = "revoked"
    return verdict, error.code, error.clause, error.index, revocation, None


def said(case: VectorCase, judge: Callable[..., VerifiedChain], **more: object) -> Said:
    """What a verifier makes of the case."""
    try:
        chain = parse_chain_pem("\n".join(case.chain))
        found = judge(
            chain,
            profile=profile_named(case.profile),
            at=parse_instant(case.at),
            emaid=case.emaid,
            require_revocation=case.require_revocation,
            **more,
        )
    except PKIError as error:
        return refusal(error)
    return acceptance(case, found)


def acceptance(case: VectorCase, found: VerifiedChain) -> Said:
    assert case.expected.emaid in (None, found.emaid and found.emaid.normal)
    return "accept", "accepted", None, None, found.revocation.value, tuple(entry.code for entry in found.findings)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_our_verifier_says_what_is_expected(case: VectorCase) -> None:
    """Without memory; with memory and second opinion; and from memory."""
    trust, evidence, policy = trust_of(case), evidence_of(case), parse_policy(case.policy)
    assert said(case, verify, trust=trust, revocation=evidence, policy=policy) == wanted(case)
    remembering = ChainVerifier(trust, evidence, policy)
    for _ in range(2):
        assert said(case, remembering.verify) == wanted(case)


def test_the_command_says_what_is_expected(tmp_path: Path) -> None:
    """A case is a line of a batch as it stands."""
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b"".join(msgspec.json.encode(case) + b"\n" for case in CASES))
    ran = CliRunner().invoke(main, ["verify", "--batch", str(lines)], catch_exceptions=False)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [case.id for case in CASES]
    for answer, case in zip(answers, CASES, strict=True):
        assert answered(answer) == wanted(case), case.id


def answered(answer: dict[str, object]) -> Said:
    findings = tuple(finding["code"] for finding in answer["findings"]) if answer["verdict"] == "accept" else None
    return (*(answer[name] for name in ("verdict", "code", "clause", "index", "revocation")), findings)


def test_making_them_again_gives_the_committed_octets() -> None:
    made = build_vectors(parse_vectors((FOLDER / "cases.toml").read_bytes()))
    assert sorted(made) == sorted(FILES)
    for name, content in made.items():
        assert content == (FOLDER / name).read_bytes(), f"{name} is not what cases.toml declares; make it again"
        assert len(content) < 1_000_000


def test_every_code_of_the_verifier_has_a_case() -> None:
    rows = re.findall(r"^\| (`[^|]*) \| [^|]* \| (?:reject|malformed|no-evidence)", told_codes(), re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`([a-z0-9-]+)`", row)}
    assert len(codes) > 30
    # Two engines that disagree are not a property of a chain.
    assert codes - {case.expected.code for case in CASES} == {"second-opinion"}


def told_codes() -> str:
    readme = (CERTS / "README.md").read_text()
    return readme[readme.index("## Codes") : readme.index("## Switches")]


def test_every_tolerated_finding_and_every_switch_of_the_chain_has_a_case() -> None:
    tolerated = told_codes().split("Tolerated findings")[1].split("(with the reason")[0]
    codes = set(re.findall(r"`([a-z-]+)`", tolerated)) | {"ocsp-unusable"}
    assert codes <= {code for case in CASES for code in case.expected.findings}
    switches = set(re.findall(r"^\| `([a-z0-9-]+)`", (CERTS / "README.md").read_text().split("## Switches")[1], re.M))
    assert switches == {switch.removeprefix("no-") for case in CASES for switch in case.policy}


@pytest.mark.parametrize("suite", SUITES)
def test_every_defect_has_a_refusal_in_each_suite(suite: str) -> None:
    refused = [case.id for case in CASES if case.id.startswith(f"{suite}/d") and case.expected.verdict != "accept"]
    seen = {found[1] for found in (re.match(r".*/d(\d\d)-", name) for name in refused) if found}
    # Each generation refuses the other's chains; encodings and hashes of ECDSA have no counterpart in Ed448; a missing
    # authority key identifier and a long life are tolerated in -2, where only a switch refuses them.
    other = {"iso15118-2": {"05", "32"}, "iso15118-20-p521": {"06", "09"}}.get(suite, {"04", "06", "08", "09", "10"})
    assert {f"{number:02}" for number in range(1, 51)} - seen == other


def test_counts_are_those_of_the_readme() -> None:
    told = (FOLDER / "README.md").read_text()
    for name, file in FILES.items():
        assert f"| `{name}` | {len(file.cases)} |" in told
        assert file.format == 1
    counts = Counter(case.id.split("/")[0] for case in CASES)
    assert set(counts) == set(SUITES)
    assert min(counts.values()) >= 150
    assert len({case.id for case in CASES}) == len(CASES)


def test_no_two_cases_of_a_file_ask_the_same() -> None:
    for file in FILES.values():
        asked = Counter(msgspec.json.encode([getattr(case, name) for name in ASKED]) for case in file.cases)
        assert [count for count in asked.values() if count > 1] == []


OPENSSL_REFUSES = {
    "crossed-sub1-mo": "unable to get local issuer certificate",
    "crossed-sub1-v2g": "unable to get local issuer certificate",
    "second-of-two-anchors-no-aki": "certificate signature failure",
    "fourth-of-four-anchors": "certificate signature failure",
}
"""What OpenSSL refuses although it is to be accepted, by the name of the case: it takes the first certificate whose
name fits, and never tries a second one when the first leads nowhere."""


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "plain"])
def test_openssl_accepts_what_is_to_be_accepted(strict: bool) -> None:
    """Without revocation, which it asks in another way, and without roles, which it does not know. Strict asks for key
    identifiers, so strictly it is asked only where they are there."""
    refused, judged = {}, 0
    for case in CASES:
        if case.expected.verdict != "accept":
            continue
        chain = [parse_certificate(der) for der in parse_chain_pem("\n".join(case.chain))]
        roots = [parse_certificate(one_block(text)) for texts in case.trust.values() for text in texts]
        if strict and not all(identified(entry) for entry in (*chain, *roots)):
            continue
        judged += 1
        reason = openssl_refusal(case, chain, roots, strict=strict)
        if reason is not None:
            refused[case.id.split("/")[1]] = reason
    assert judged > 180
    assert refused == {name: reason for name, reason in OPENSSL_REFUSES.items() if name in refused or not strict}


def identified(certificate: Certificate) -> bool:
    """Whether it has the key identifiers that RFC 5280 asks for."""
    above = certificate.self_issued or certificate.authority_key_identifier is not None
    return above and certificate.subject_key_identifier is not None


def openssl_refusal(
    case: VectorCase, chain: list[Certificate], roots: list[Certificate], *, strict: bool
) -> str | None:
    leaf, *others = [crypto.X509.from_cryptography(entry.parsed) for entry in chain]
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root.parsed))
    # It knows no critical key identifiers, which Annex B of ISO 15118-20 asks for.
    flags = crypto.X509StoreFlags.IGNORE_CRITICAL
    store.set_flags(flags | crypto.X509StoreFlags.X509_STRICT if strict else flags)
    store.set_time(parse_instant(case.at))
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return None
