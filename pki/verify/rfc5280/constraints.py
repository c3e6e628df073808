"""Name constraints: which names a CA may give away (RFC 5280 4.2.1.10, 6.1.3 (b), (c), 6.1.4 (g)).

Every constraint on the way down holds. Permitted subtrees of one form are alternatives within one certificate and add
up over certificates: a name must lie in one subtree of each. A name within any excluded subtree is refused.

A wildcard `*.example.org` stands for every name one label below: it is permitted where all of them are, and excluded
where any of them may be. Constraints on a form that is not processed refuse as soon as a name of that form appears
("unsupported"); without such a name they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from cryptography import x509

from pki.verify.rfc5280.budget import Budget
from pki.verify.rfc5280.general_names import FORMS, Form, SubjectName, is_host, is_mailbox, mailbox
from pki.verify.rfc5280.names import Name, comparable, is_within
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse

_CLAUSE = "4.2.1.10"


@dataclass(frozen=True, slots=True)
class Subtree:
    """One base of a constraint. `value`: comparable name, lower-case host or mailbox, or (address, mask) octets."""

    form: Form
    value: Name | str | tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True)
class NameSpace:
    """What is left for names at one point of a path."""

    permitted: tuple[tuple[Subtree, ...], ...] = ()
    excluded: tuple[Subtree, ...] = ()

    def under(self, constraints: x509.NameConstraints, index: int | None) -> NameSpace:
        """The name space below a CA with these constraints.

        Raises:
            ChainRejected: "name-constraints": a base that is not well formed.
        """
        permitted = [_subtree(base, index) for base in constraints.permitted_subtrees or ()]
        excluded = [_subtree(base, index) for base in constraints.excluded_subtrees or ()]
        groups = [tuple(tree for tree in permitted if tree.form is form) for form in Form]
        return NameSpace((*self.permitted, *(group for group in groups if group)), (*self.excluded, *excluded))

    def check(self, names: Iterable[SubjectName], certificate: PathCertificate, budget: Budget) -> None:
        """Refuse a certificate with a name outside ("name-constraints", "unsupported")."""
        held = tuple(names)
        trees = len(self.excluded) + sum(len(group) for group in self.permitted)
        budget.spend_comparisons(len(held) * trees)
        for name in held:
            if any(_excludes(tree, name) for tree in self.excluded if _same_form(tree, name, certificate)):
                _refuse(name, "lies in an excluded subtree", certificate)
            for group in self.permitted:
                if _same_form(group[0], name, certificate) and not any(_permits(tree, name) for tree in group):
                    _refuse(name, "lies in no permitted subtree", certificate)


def _same_form(tree: Subtree, name: SubjectName, certificate: PathCertificate) -> bool:
    if tree.form is not name.form:
        return False
    if tree.form is Form.OTHER:
        message = "a constraint speaks of a form of names that is not processed, and such a name is here"
        refuse("unsupported", message, clause=_CLAUSE, index=certificate.index)
    if name.value is None:
        _refuse(name, "has no host, and names of this form are constrained", certificate)
    return True


def _refuse(name: SubjectName, what: str, certificate: PathCertificate) -> None:
    shown = f" {name.value[:80]!a}" if isinstance(name.value, str) else ""
    refuse("name-constraints", f"{name.form.value}{shown} {what}", clause=_CLAUSE, index=certificate.index)


def _permits(tree: Subtree, name: SubjectName) -> bool:
    if tree.form is Form.DNS and isinstance(name.value, str) and isinstance(tree.value, str):
        return _host_within(name.value.removeprefix("*."), tree.value)
    return _MATCHING[tree.form](tree.value, name.value)


def _excludes(tree: Subtree, name: SubjectName) -> bool:
    if tree.form is Form.DNS and isinstance(name.value, str) and isinstance(tree.value, str):
        host = name.value.removeprefix("*.")
        return _host_within(host, tree.value) or (host != name.value and _host_within(tree.value, host))
    return _MATCHING[tree.form](tree.value, name.value)


def _host_within(host: str, base: str) -> bool:
    """Whether `host` is `base` or below it; the empty base is above all."""
    return not base or host == base or host.endswith("." + base)


def _host_fits(host: str, base: str) -> bool:
    """The rule of mailboxes and URIs: `.base` is everything below, `base` is that host alone."""
    return host.endswith(base) if base.startswith(".") else host == base


def _match_directory(base: object, name: object) -> bool:
    return isinstance(base, tuple) and isinstance(name, tuple) and is_within(name, base)


def _match_email(base: object, name: object) -> bool:
    text, limit = str(name), str(base)
    return text == limit if "@" in limit else _host_fits(text.rpartition("@")[2], limit)


def _match_uri(base: object, name: object) -> bool:
    return _host_fits(str(name), str(base))


def _match_ip(base: object, name: object) -> bool:
    if not isinstance(base, tuple) or not isinstance(name, bytes) or len(base[0]) != len(name):
        return False
    return all(octet & mask == wanted for octet, wanted, mask in zip(name, *base, strict=True))


_MATCHING: dict[Form, Callable[[object, object], bool]] = {
    Form.DIRECTORY: _match_directory,
    Form.EMAIL: _match_email,
    Form.URI: _match_uri,
    Form.IP: _match_ip,
}


def _subtree(base: x509.GeneralName, index: int | None) -> Subtree:
    form = FORMS.get(type(base), Form.OTHER)
    if isinstance(base, x509.DirectoryName):
        return Subtree(form, comparable(base.value))
    if isinstance(base, x509.IPAddress) and isinstance(base.value, IPv4Network | IPv6Network):
        return Subtree(form, (base.value.network_address.packed, base.value.netmask.packed))
    if not isinstance(base.value, str):
        return Subtree(Form.OTHER, None)
    if not _WELL_FORMED[form](base.value):
        refuse("name-constraints", f"constraint {base.value[:80]!a} is not well formed", clause=_CLAUSE, index=index)
    return Subtree(form, mailbox(base.value) if "@" in base.value else base.value.lower())


def _is_host_or_subtree(text: str) -> bool:
    return is_host(text.removeprefix("."))


_WELL_FORMED: dict[Form, Callable[[str], bool]] = {
    Form.DNS: lambda text: not text or is_host(text),
    Form.EMAIL: lambda text: is_mailbox(text) if "@" in text else _is_host_or_subtree(text),
    Form.URI: _is_host_or_subtree,
}
