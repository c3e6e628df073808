"""Certificates and CRLs as a person reads them, whether they are right or not; nothing is verified.

Text from a certificate is shown with its control characters escaped. A certificate that our parser refuses is shown as
far as a second parser reads it, and what the two read differently is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID
from rich.text import Text
from rich.tree import Tree

from pki.certificate import PARSER_ERRORS, Certificate, parse_certificate
from pki.errors import MalformedCertificate, TrustError
from pki.service.bars import Life, ValidityBars
from pki.service.naming import name_text, printable, subject_text
from pki.service.second_reading import disagreement, read_again
from pki.verify.crl import CRL


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes in a certificate's place, and why they are none."""

    der: bytes
    error: MalformedCertificate


def read_shown(blocks: Sequence[bytes]) -> list[Certificate | Unreadable]:
    """Each block as a certificate, or as what is wrong with it."""
    found: list[Certificate | Unreadable] = []
    for index, der in enumerate(blocks):
        try:
            found.append(parse_certificate(der, index=index))
        except MalformedCertificate as error:
            found.append(Unreadable(der, error))
    return found


def chain_bars(shown: Sequence[Certificate | Unreadable], at: datetime) -> ValidityBars:
    """The lives of the certificates on one axis, issuers first, with the instant `at` marked."""
    return ValidityBars(
        [
            Life(f"{index} {_common_name(entry)}", entry.not_before, entry.not_after)
            for index, entry in _in_order(shown)
        ],
        at,
    )


def chain_tree(shown: Sequence[Certificate | Unreadable]) -> Tree:
    """The certificates as they claim to issue one another: issuers outside, the leaf innermost; strangers beside.

    Raises:
        MalformedCertificate: "malformed-certificate": a name or extension that verifying does not read is no DER.
    """
    try:
        return _draw_chain(shown)
    except PARSER_ERRORS as error:
        raise MalformedCertificate("malformed-certificate", f"cannot be shown: {error}") from error


def crl_tree(crl: CRL) -> Tree:
    """A CRL's own words: issuer, dates, number, entries (the first 20).

    Raises:
        TrustError: "malformed-crl": an entry or name is no DER.
    """
    try:
        return _draw_crl(crl)
    except (*PARSER_ERRORS, x509.DuplicateExtension) as error:
        raise TrustError("malformed-crl", f"cannot be shown: {error}") from error


class ShownObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate of `show --json`; `code` and `message` instead, when it cannot be read."""

    index: int
    subject: str | None = None
    issuer: str | None = None
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    key: str | None = None
    signature: str | None = None
    ca: bool | None = None
    sha256: str | None = None
    code: str | None = None
    message: str | None = None


class EntryObject(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a list: what is said of it, since when."""

    serial: str
    state: str
    at: datetime


class ListObject(msgspec.Struct, frozen=True, kw_only=True):
    """A list of revoked certificates of `show --json`, with all its entries; `base` None: a complete list."""

    issuer: str
    number: int | None
    base: int | None
    this_update: datetime
    next_update: datetime | None
    entries: list[EntryObject]


def shown_objects(shown: Sequence[Certificate | Unreadable]) -> list[ShownObject]:
    """The same as `chain_tree` in short, for programs; in the order of the file, for what that could draw."""
    return [_shown_object(index, entry) for index, entry in enumerate(shown)]


def list_object(crl: CRL) -> ListObject:
    """The same as `crl_tree`, for programs, of a list that that could draw."""
    return ListObject(
        issuer=name_text(crl.parsed.issuer),
        number=crl.number,
        base=_base(crl),
        this_update=crl.this_update,
        next_update=crl.next_update,
        entries=[
            EntryObject(serial=f"{entry.serial_number:x}", state=_standing(entry), at=entry.revocation_date_utc)
            for entry in crl.parsed
        ],
    )


def _shown_object(index: int, entry: Certificate | Unreadable) -> ShownObject:
    if isinstance(entry, Unreadable):
        return ShownObject(index=index, code=entry.error.code, message=str(entry.error))
    return ShownObject(
        index=index,
        subject=name_text(entry.parsed.subject),
        issuer=name_text(entry.parsed.issuer),
        serial=f"{entry.serial:x}",
        not_before=entry.not_before,
        not_after=entry.not_after,
        key=entry.key_kind.value,
        signature=entry.signature_kind.value,
        ca=entry.basic_constraints is not None and entry.basic_constraints.ca,
        sha256=entry.sha256,
    )


def _draw_chain(shown: Sequence[Certificate | Unreadable]) -> Tree:
    count = "1 certificate" if len(shown) == 1 else f"{len(shown)} certificates, as they claim to be issued"
    top = Tree(Text(f"{count}; nothing was verified"))
    branches: dict[bytes, Tree] = {}
    for index, entry in enumerate(shown):
        if isinstance(entry, Unreadable):
            _draw_unreadable(top, index, entry)
    for index, certificate in _in_order(shown):
        parent = top if certificate.self_issued else branches.get(certificate.issuer_der, top)
        branch = parent.add(_heading(index, certificate))
        for name, value in _facts(certificate):
            branch.add(_line(name, value))
        difference = disagreement(certificate)
        if difference is not None:
            branch.add(Text(printable(difference), style="bold yellow"))
        branches.setdefault(certificate.subject_der, branch)
    return top


def _draw_unreadable(top: Tree, index: int, entry: Unreadable) -> None:
    branch = top.add(Text(f"{index}: {entry.error.code}: {printable(str(entry.error))}", style="bold red"))
    try:
        again = read_again(entry.der)
    except MalformedCertificate:
        return
    told = branch.add(Text("a second parser reads", style="dim"))
    told.add(_line("subject", printable(again.subject)))
    told.add(_line("issuer", printable(again.issuer)))
    told.add(_line("serial", f"{again.serial:x}"))
    told.add(_line("valid", f"{again.not_before} to {again.not_after}"))


def _common_name(certificate: Certificate) -> str:
    names = [text for text in certificate.attributes(NameOID.COMMON_NAME) if text]
    return printable(names[0]) if names else subject_text(certificate)


def _draw_crl(crl: CRL) -> Tree:
    top = Tree(Text(f"CRL of {name_text(crl.parsed.issuer)}; nothing was verified", style="bold"))
    base = _base(crl)
    if base is not None:
        top.add(Text(f"delta upon base {base}"))
    top.add(_line("thisUpdate", str(crl.this_update)))
    top.add(_line("nextUpdate", str(crl.next_update)))
    top.add(_line("number", str(crl.number)))
    top.add(_line("signature", crl.signature_kind.value))
    entries = top.add(_line("entries", str(len(crl.parsed))))
    for entry, _ in zip(crl.parsed, range(20), strict=False):
        entries.add(_line(f"{entry.serial_number:x}", f"{_standing(entry)} {entry.revocation_date_utc}"))
    return top


def _base(crl: CRL) -> int | None:
    """The number of the list that a delta adds to; None for a complete list."""
    indicators = (each.value for each in crl.parsed.extensions if isinstance(each.value, x509.DeltaCRLIndicator))
    return next((indicator.crl_number for indicator in indicators), None)


def _standing(entry: x509.RevokedCertificate) -> str:
    """What a list says of an entry: revoked, or released from what an earlier list said."""
    reasons = [each.value.reason for each in entry.extensions if isinstance(each.value, x509.CRLReason)]
    return "released" if x509.ReasonFlags.remove_from_crl in reasons else "revoked"


def _in_order(shown: Sequence[Certificate | Unreadable]) -> list[tuple[int, Certificate]]:
    """The certificates with their indices, each after its issuer when that is among them."""
    waiting = [(index, entry) for index, entry in enumerate(shown) if isinstance(entry, Certificate)]
    found: list[tuple[int, Certificate]] = []
    while waiting:
        absent = {entry.subject_der for _, entry in waiting}
        following = next(
            (entry for entry in reversed(waiting) if entry[1].self_issued or entry[1].issuer_der not in absent),
            waiting[0],
        )
        waiting.remove(following)
        found.append(following)
    return found


def _heading(index: int, certificate: Certificate) -> Text:
    return Text(f"{index}: {name_text(certificate.parsed.subject)}", style="bold")


def _facts(certificate: Certificate) -> list[tuple[str, str]]:
    constraints, usage = certificate.basic_constraints, certificate.key_usage
    found = [
        ("issuer", name_text(certificate.parsed.issuer)),
        ("serial", f"{certificate.serial:x}"),
        ("valid", f"{certificate.not_before} to {certificate.not_after}"),
        ("key", certificate.key_kind.value),
        ("signature", certificate.signature_kind.value),
    ]
    if constraints is not None:
        limit = "no path length" if constraints.path_length is None else f"path length {constraints.path_length}"
        kind = f"CA, {limit}" if constraints.ca else "not a CA"
        found.append(("basicConstraints", kind + _critical(constraints.critical)))
    if usage is not None:
        found.append(("keyUsage", ", ".join(sorted(bit.value for bit in usage.bits)) + _critical(usage.critical)))
    for extension in certificate.parsed.extensions:
        value = extension.value
        if isinstance(value, x509.ExtendedKeyUsage | x509.SubjectAlternativeName):
            found.append((_type_name(value), printable(", ".join(_entries(value))) + _critical(extension.critical)))
    if certificate.subject_key_identifier is not None:
        found.append(("subjectKeyIdentifier", certificate.subject_key_identifier.hex()))
    issuer_key = certificate.authority_key_identifier
    if issuer_key is not None and issuer_key.key_identifier is not None:
        found.append(("authorityKeyIdentifier", issuer_key.key_identifier.hex()))
    found += [("CRL", printable(uri)) for uri in sorted(certificate.crl_uris)]
    found.append(("size", f"{len(certificate.der)} bytes"))
    found.append(("sha256", certificate.sha256))
    return found


def _entries(value: x509.ExtendedKeyUsage | x509.SubjectAlternativeName) -> list[str]:
    if isinstance(value, x509.ExtendedKeyUsage):
        return [usage.dotted_string for usage in value]
    return [str(name.value) for name in value]


def _type_name(value: x509.ExtendedKeyUsage | x509.SubjectAlternativeName) -> str:
    return "extendedKeyUsage" if isinstance(value, x509.ExtendedKeyUsage) else "subjectAltName"


def _critical(critical: bool) -> str:
    return " (critical)" if critical else ""


def _line(name: str, value: str) -> Text:
    return Text.assemble((f"{name} ", "dim"), value)
