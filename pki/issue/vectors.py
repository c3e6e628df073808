"""Conformance vectors: from a declaration to cases that any implementation can read, the same octets each time.

What is expected of a case comes from the declaration alone; no verifier is asked here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC

import msgspec

from pki.errors import DeclarationError
from pki.issue.vectors_declaration import (
    AnswerOrder,
    CaseOrder,
    ListOrder,
    Suite,
    TextFault,
    VectorDeclaration,
    anchor_role,
    certificate_order,
    parse_vectors as parse_vectors,
)
from pki.issue.vectors_evidence import write_answer, write_list
from pki.issue.vectors_keys import VectorKey, derive_key, stream
from pki.issue.vectors_paper import Draft, Paper, write_certificate
from pki.pem import encode_pem
from pki.profile import AnchorRole

FORMAT = 1
GENERATED_BY = "pnc-pki lab certs/vectors/cases.toml --vectors certs/vectors"
LICENCE = "Apache-2.0"
_DEEPEST = 12
_SERIAL_OCTETS = 8


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier should say. `index` None: not about one certificate. `findings`: the departures that are
    tolerated and reported, when the verdict is "accept". `emaid` None: not asked here."""

    verdict: str
    code: str
    clause: str | None
    index: int | None
    revocation: str
    findings: tuple[str, ...]
    emaid: str | None


class VectorCase(msgspec.Struct, frozen=True, kw_only=True):
    """One case: what is put before a verifier, and what it should say. Certificates and CRLs are PEM, OCSP answers
    base64 of DER, `at` is RFC 3339."""

    id: str
    title: str
    profile: str
    at: str
    chain: list[str]
    trust: dict[str, list[str]]
    crls: list[str]
    ocsps: list[str]
    emaid: str | None
    require_revocation: bool
    policy: tuple[str, ...]
    expected: Expected
    comment: str | None


class VectorFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one file."""

    format: int
    generated_by: str
    licence: str
    suite: str
    title: str
    cases: list[VectorCase]


def build_vectors(declaration: VectorDeclaration) -> Mapping[str, bytes]:
    """Each suite's file by its name, as JSON.

    Raises:
        DeclarationError: "declaration": a case cannot be made as declared; names it.
    """
    files = dict.fromkeys(group.file for group in declaration.group)
    made = {
        f"{suite.name}-{file}": _file(declaration, key, file)
        for key, suite in declaration.suite.items()
        for file in files
    }
    return {f"{name}.json": _encoded(file) for name, file in made.items() if file.cases}


def parse_vector_file(content: bytes) -> VectorFile:
    """The cases of a file.

    Raises:
        DeclarationError: "vectors": not such a file.
    """
    try:
        return msgspec.json.decode(content, type=VectorFile)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DeclarationError("vectors", f"not a file of vectors: {error}") from error


def _encoded(file: VectorFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def _file(declaration: VectorDeclaration, key: str, file: str) -> VectorFile:
    suite = declaration.suite[key]
    return VectorFile(
        format=FORMAT,
        generated_by=GENERATED_BY,
        licence=LICENCE,
        suite=suite.name,
        title=suite.title,
        cases=[_made(declaration, suite, case) for case in declaration.cases_of(key, file)],
    )


def _made(declaration: VectorDeclaration, suite: Suite, case: CaseOrder) -> VectorCase:
    try:
        return _Desk(declaration, suite, case).case()
    except OverflowError as error:
        raise DeclarationError("declaration", f"case {case.id}: an instant or a number is too large") from error


class _Desk:
    """Where the papers of one case are written, each once."""

    def __init__(self, declaration: VectorDeclaration, suite: Suite, case: CaseOrder) -> None:
        self._declaration, self._suite, self._case = declaration, suite, case
        self._papers: dict[str, Paper] = {}
        self._issuers: dict[str, str] = {}

    def case(self) -> VectorCase:
        """The case with all of its papers."""
        case = self._case
        trust = case.trust if case.trust is not None else {self._anchor_role(): ["root"]}
        lists = [entry if isinstance(entry, ListOrder) else ListOrder(of=entry) for entry in case.crls]
        answers = [entry if isinstance(entry, AnswerOrder) else AnswerOrder(of=entry) for entry in case.ocsps]
        return VectorCase(
            id=f"{self._suite.name}/{case.id}",
            title=case.title,
            profile=case.profile or f"{self._suite.profiles}-{case.role}",
            at=(case.at or self._declaration.at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            chain=_spoiled([self._pem(name) for name in case.chain], case.text),
            trust={role.value: [self._pem(name) for name in names] for role, names in trust.items()},
            crls=[encode_pem(self._list(order), "X509 CRL") for order in lists],
            ocsps=[base64.b64encode(self._answer(order)).decode() for order in answers],
            emaid=case.emaid,
            require_revocation=case.require_revocation,
            policy=case.policy,
            expected=self._expected(),
            comment=case.comment,
        )

    def _anchor_role(self) -> AnchorRole:
        return anchor_role(self._declaration, self._suite, self._case)

    def _expected(self) -> Expected:
        case, code = self._case, self._declaration.code[self._case.expect]
        clauses = code.clause if case.clause is None else case.clause
        return Expected(
            verdict=code.verdict,
            code=case.expect,
            clause=clauses.get(self._suite.generation) or clauses.get("all"),
            index=case.index,
            revocation=case.revocation,
            findings=case.findings,
            emaid=case.account,
        )

    def _pem(self, name: str) -> str:
        return encode_pem(self._paper(name).der)

    def _paper(self, name: str, below: tuple[str, ...] = ()) -> Paper:
        """The certificate of that name; `below` are those that wait for it as their issuer."""
        if name not in self._papers:
            if name in below or len(below) > _DEEPEST:
                raise DeclarationError("declaration", f"case {self._case.id}: {name!r} stands above itself")
            self._papers[name] = self._written(name, (*below, name))
        return self._papers[name]

    def _written(self, name: str, below: tuple[str, ...]) -> Paper:
        order = certificate_order(self._declaration, self._suite, self._case, name)
        own = order.issuer in ("self", name)
        self._issuers[name] = name if own else order.issuer
        form = order.key_form or self._suite.key
        draft = Draft(
            at=self._declaration.at,
            hash_name=self._suite.hash,
            key_identifier_octets=self._suite.key_identifier_octets,
            serial=self._serial(name),
            key=derive_key(self._declaration.seed, f"{self._branch} {order.key or name}", form),
            signer=None if order.signer is None else self._stranger(order.signer),
            issuer=None if own else self._paper(order.issuer, below),
            added=tuple(self._declaration.extension[added] for added in order.add),
        )
        return write_certificate(order, draft)

    @property
    def _branch(self) -> str:
        return f"{self._suite.generation} {self._case.role}"

    def _serial(self, name: str) -> bytes:
        """The content of an INTEGER: positive, in its shortest form."""
        drawn = stream(self._declaration.seed, "serial", self._branch, name, octets=_SERIAL_OCTETS)
        return bytes((drawn[0] & 0x3F | 0x40,)) + drawn[1:]

    def _stranger(self, name: str) -> VectorKey:
        """The key of that name; it need not be a certificate's."""
        return derive_key(self._declaration.seed, f"{self._branch} {name}", self._suite.key)

    def _list(self, order: ListOrder) -> bytes:
        issuer = self._paper(order.of)
        return write_list(
            order,
            at=self._declaration.at,
            issuer=issuer,
            named=self._paper(order.named or order.of),
            revoked=[self._paper(name) for name in order.revoked],
            signer=issuer.key if order.signer is None else self._stranger(order.signer),
            hash_name=order.hash or self._suite.hash,
        )

    def _answer(self, order: AnswerOrder) -> bytes:
        subject = self._paper(order.of)
        issuer = self._issuers[order.of]
        responder = self._paper(order.by or issuer)
        return write_answer(
            order,
            at=self._declaration.at,
            subject=subject,
            issuer=self._paper(order.issuer or issuer),
            responder=responder,
            signer=responder.key if order.signer is None else self._stranger(order.signer),
            hash_name=self._suite.hash,
        )


def _spoiled(chain: list[str], fault: TextFault | None) -> list[str]:
    if fault is TextFault.TEXT_BETWEEN:
        return [chain[0] + "subject=/CN=Sub2\n", *chain[1:]]
    if fault is TextFault.OTHER_LABEL:
        return [chain[0].replace("CERTIFICATE", "TRUSTED CERTIFICATE"), *chain[1:]]
    if fault is TextFault.NOT_BASE64:
        return [chain[0].replace("M", "!", 1), *chain[1:]]
    return chain
