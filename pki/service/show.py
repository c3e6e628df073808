"""Certificates and CRLs as a person reads them. Text from a certificate is shown with its control characters escaped:
a subject must not be able to write to the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from rich.text import Text
from rich.tree import Tree

from pki.certificate import PARSER_ERRORS, Certificate
from pki.errors import MalformedCertificate, TrustError
from pki.verify.crl import CRL


def chain_tree(certificates: Sequence[Certificate]) -> Tree:
    """The certificates as they claim to issue one another: issuers outside, the leaf innermost; strangers beside.

    Raises:
        MalformedCertificate: "malformed-certificate": a name or extension that verifying does not read is no DER.
    """
    try:
        return _draw_chain(certificates)
    except PARSER_ERRORS as error:
        raise MalformedCertificate("malformed-certificate", f"cannot be shown: {error}") from error


def crl_tree(crl: CRL) -> Tree:
    """A CRL's own words: issuer, dates, number, entries (the first 20).

    Raises:
        TrustError: "malformed-crl": an entry or name is no DER.
    """
    try:
        return _draw_crl(crl)
    except PARSER_ERRORS as error:
        raise TrustError("malformed-crl", f"cannot be shown: {error}") from error


def _draw_chain(certificates: Sequence[Certificate]) -> Tree:
    top = Tree(Text(f"{len(certificates)} certificates, as they claim to be issued; nothing was verified"))
    branches: dict[bytes, Tree] = {}
    waiting = list(enumerate(certificates))
    while waiting:
        index, certificate = _outermost(waiting, branches)
        waiting.remove((index, certificate))
        parent = top if certificate.self_issued else branches.get(certificate.issuer_der, top)
        branch = parent.add(_heading(index, certificate))
        for name, value in _facts(certificate):
            branch.add(_line(name, value))
        branches.setdefault(certificate.subject_der, branch)
    return top


def _draw_crl(crl: CRL) -> Tree:
    top = Tree(Text(f"CRL of {_safe(crl.parsed.issuer.rfc4514_string())}; nothing was verified", style="bold"))
    top.add(_line("thisUpdate", str(crl.this_update)))
    top.add(_line("nextUpdate", str(crl.next_update)))
    top.add(_line("number", str(crl.number)))
    top.add(_line("signature", crl.signature_kind.value))
    entries = top.add(_line("entries", str(len(crl.parsed))))
    for entry, _ in zip(crl.parsed, range(20), strict=False):
        entries.add(_line(f"{entry.serial_number:x}", f"revoked {entry.revocation_date_utc}"))
    return top


def _outermost(waiting: list[tuple[int, Certificate]], branches: dict[bytes, Tree]) -> tuple[int, Certificate]:
    """The next to draw: one whose issuer is drawn already, or whose issuer is not among those waiting."""
    names = {certificate.subject_der for _, certificate in waiting}
    for index, certificate in reversed(waiting):
        issuer = certificate.issuer_der
        if certificate.self_issued or issuer in branches or issuer not in names:
            return index, certificate
    return waiting[0]


def _heading(index: int, certificate: Certificate) -> Text:
    return Text(f"{index}: {_safe(certificate.parsed.subject.rfc4514_string())}", style="bold")


def _facts(certificate: Certificate) -> list[tuple[str, str]]:
    constraints, usage = certificate.basic_constraints, certificate.key_usage
    found = [
        ("issuer", _safe(certificate.parsed.issuer.rfc4514_string())),
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
            found.append((_type_name(value), _safe(", ".join(_entries(value))) + _critical(extension.critical)))
    if certificate.subject_key_identifier is not None:
        found.append(("subjectKeyIdentifier", certificate.subject_key_identifier.hex()))
    issuer_key = certificate.authority_key_identifier
    if issuer_key is not None and issuer_key.key_identifier is not None:
        found.append(("authorityKeyIdentifier", issuer_key.key_identifier.hex()))
    found += [("CRL", _safe(uri)) for uri in sorted(certificate.crl_uris)]
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


def _safe(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
