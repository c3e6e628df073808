"""Our two engines against three foreign ones, over the defect tables of both generations and over random graphs.

A difference is allowed only when it is on a list here with its reason:

REFUSED_BY_US    what we refuse and a foreign engine accepts, by engine and code
REFUSED_BY_THEM  what we accept and a foreign engine refuses, by engine and what it says

An engine that refuses a graph is asked again with the certificates of the path that we found and no others. When it
accepts that, it only did not find the path (OpenSSL takes the first issuer that fits and does not come back).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.utils import CryptographyDeprecationWarning

from pki.errors import PKIError
from pki.verify.rfc5280 import verify_path
from tests.crossed.oracles import ACCEPT, ORACLES
from tests.pki.mint import AT, Branch, Spec, sound_branch, sound_branch_20
from tests.pki.papers import KEYS, Paper, paper, revocation_list
from tests.pki.spoil import Spoil
from tests.pki.test_defects import MALFORMED as MALFORMED_2, REJECTED as REJECTED_2, TOLERATED as ACCEPTED_2
from tests.pki.test_defects_20 import ACCEPTED as ACCEPTED_20, MALFORMED as MALFORMED_20, REJECTED as REJECTED_20

V2G, GENERIC = "v2g", "rfc5280"
EVERYONE = frozenset(ORACLES)


class Allowed(NamedTuple):
    """Who may accept what we refuse, and why."""

    oracles: frozenset[str]
    reason: str


def _by(oracles: str, reason: str) -> Allowed:
    return Allowed(frozenset(oracles.split()), reason)


_PROFILE = Allowed(EVERYONE, "a rule of ISO 15118, which no library expresses")
_NO_ANCHOR_RULES = "pyhanko takes an anchor's name and key and looks at nothing else in it"
_SERIALS = _by("openssl pyca pyhanko", "RFC 5280 4.1.2.2; the libraries take any serial number")
_DUPLICATES = _by("pyhanko", "RFC 5280 4.2; pyhanko takes the last of two equal extensions")
_VERSION = _by("pyhanko", "RFC 5280 4.1.2.1; pyhanko reads extensions of any version")
_DER = _by("openssl pyhanko", "not DER; OpenSSL reads on and ignores what follows, pyhanko reads indefinite lengths")

REFUSED_BY_US: dict[tuple[str, str], Allowed] = {
    # the profile of ISO 15118
    (V2G, "algorithm"): _PROFILE,
    (V2G, "basic-constraints"): _PROFILE,
    (V2G, "ca-flag"): _PROFILE,
    (V2G, "depth"): _PROFILE,
    (V2G, "emaid-format"): _PROFILE,
    (V2G, "extension"): _PROFILE,
    (V2G, "key-usage"): _PROFILE,
    (V2G, "outlives-issuer"): _PROFILE,
    (V2G, "path-length"): _PROFILE,
    (V2G, "revocation-pointer"): _PROFILE,
    (V2G, "size"): _PROFILE,
    (V2G, "ski-missing"): _PROFILE,
    (V2G, "subject"): _PROFILE,
    (V2G, "time-encoding"): _by("openssl pyhanko", "RFC 5280 4.1.2.5: UTCTime through 2049; they read either form"),
    (V2G, "anchor-unknown"): Allowed(EVERYONE, "a stranger's root that arrives is refused, not passed over"),
    (V2G, "aki-missing"): _by("pyca pyhanko", "V2G20: every certificate names its issuer's key"),
    (V2G, "name-chain"): _by("pyca", "the path builder of `cryptography` does not compare key identifiers"),
    (V2G, "expired"): _by("pyhanko", _NO_ANCHOR_RULES),
    (V2G, "not-yet-valid"): _by("pyhanko", _NO_ANCHOR_RULES),
    (V2G, "serial-number"): _SERIALS,
    (V2G, "duplicate-extension"): _DUPLICATES,
    (V2G, "version"): _VERSION,
    (V2G, "malformed-certificate"): _DER,
    # RFC 5280 to the letter
    (GENERIC, "serial-number"): _SERIALS,
    (GENERIC, "duplicate-extension"): _DUPLICATES,
    (GENERIC, "version"): _VERSION,
    (GENERIC, "malformed-certificate"): _DER,
    (GENERIC, "expired"): _by("pyhanko", _NO_ANCHOR_RULES),
    (GENERIC, "not-yet-valid"): _by("pyhanko", _NO_ANCHOR_RULES),
    (GENERIC, "ca-flag"): _by("pyhanko", _NO_ANCHOR_RULES),
    (GENERIC, "path-length"): _by("pyhanko", f"{_NO_ANCHOR_RULES}; RFC 5937 asks for its path length"),
    (GENERIC, "key-usage"): _by(
        "pyca pyhanko", f"4.2.1.9: keyCertSign without being a CA, which they read over in a leaf; {_NO_ANCHOR_RULES}"
    ),
    (GENERIC, "extension"): Allowed(
        EVERYONE, "criticality that 4.2.1 and 4.2.2 bind the CA to; each library looks at some of it only"
    ),
    (GENERIC, "key-identifier"): _by(
        "pyca pyhanko", "4.2.1.1, 4.2.1.2: pyca does not compare key identifiers, neither misses them when absent"
    ),
    (GENERIC, "algorithm"): _by("pyca pyhanko", "RFC 5480 2.1.1: explicit curve parameters, which they take"),
    (GENERIC, "crl-invalid"): _by("pyca", "pyca knows no revocation"),
    (GENERIC, "revocation-unknown"): _by("pyca", "pyca knows no revocation"),
    (GENERIC, "revoked"): _by("pyca", "pyca knows no revocation"),
}

REFUSED_BY_THEM: list[tuple[str, str, str, str]] = [
    (V2G, "openssl", "unhandled critical extension", "critical AKI, SKI, AIA of the -20 profile, which we process"),
    (
        V2G,
        "openssl",
        "Missing Authority Key Identifier",
        "-2 certificates in the field lack it: tolerated, and reported",
    ),
    (V2G, "pyhanko", "extension: subject_information_access", "critical in the -20 profile, and processed here"),
    (V2G, "pyca", "Forbidden public key algorithm", "pyca knows the keys of the web only; -20 has Ed448"),
    (
        V2G,
        "pyca",
        "invalid extension: 1.3.6.1.5.5.7.1.1: Certificate extension has incorrect criticality",
        "-20 profile",
    ),
    (V2G, "pyca", "invalid extension: 2.5.29.14: Certificate extension has incorrect criticality", "-20 profile"),
    (V2G, "pyca", "invalid extension: 1.3.6.1.5.5.7.1.11: certificate contains unaccounted", "-20 profile"),
    (V2G, "pyca", "invalid extension: 2.5.29.31: certificate contains unaccounted", "-20 profile"),
    (GENERIC, "pyca", "Forbidden public key algorithm", "pyca knows the keys of the web only"),
    (GENERIC, "pyca", "Neither EKU nor anyEKU", "no purpose is asked in the generic mode"),
    (GENERIC, "pyca", "invalid extension: 2.5.29.19: Certificate extension", "6.1.4 (k) does not ask for criticality"),
    (GENERIC, "pyca", "invalid extension: 2.5.29.31: certificate contains", "critical CRL points are processed here"),
    (GENERIC, "pyca", "invalid extension: 2.5.29.32: certificate contains", "certificate policies are processed here"),
    (GENERIC, "pyca", "nameConstraints extension contains an unsupported", "directoryName is processed here"),
    (GENERIC, "pyca", "must be UtcTime", "4.1.2.5: applications MUST read GeneralizedTime before 2050 too"),
]


class Differences:
    """What differed and is on no list; and which entries of the lists were met."""

    def __init__(self) -> None:
        self.unexplained: list[str] = []
        self.met: set[object] = set()
        self.outcomes: set[str] = set()

    def compare(self, what: str, engine: str, ours: str, theirs: dict[str, str]) -> None:
        """One chain: our code or ACCEPT, and what each oracle said."""
        for oracle, said in theirs.items():
            if (ours == ACCEPT) == (said == ACCEPT):
                continue
            if said == ACCEPT:
                allowed = REFUSED_BY_US.get((engine, ours))
                if allowed is not None and oracle in allowed.oracles:
                    self.met.add((engine, ours))
                    continue
            else:
                entry = next((row for row in REFUSED_BY_THEM if row[:2] == (engine, oracle) and row[2] in said), None)
                if entry is not None:
                    self.met.add(entry)
                    continue
            self.unexplained.append(f"{what}: {engine} says {ours}, {oracle} says {said}")


def rows() -> Iterator[tuple[str, Branch, Spoil]]:
    """Every row of the defect tables with a fresh branch; those of -20 under both of its keys."""
    for table in (REJECTED_2, MALFORMED_2, ACCEPTED_2):
        for row in table:
            yield f"-2 {row[0]}", sound_branch(), row[1]
    for table in (REJECTED_20, MALFORMED_20, ACCEPTED_20):
        for row in table:
            yield f"-20 P-521 {row[0]}", sound_branch_20(), row[1]
            yield f"-20 Ed448 {row[0]}", sound_branch_20(ed448.Ed448PrivateKey.generate), row[1]


def clean_list(spec: Spec) -> bytes:
    """A CRL of one CA of a branch that lists nothing; it names no key, because a spoiled CA may have another."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(spec.name)
        .last_update(AT - timedelta(days=1))
        .next_update(AT + timedelta(days=9))
        .add_extension(x509.CRLNumber(1), False)
    )
    edwards = isinstance(spec.key, ed448.Ed448PrivateKey | ed25519.Ed25519PrivateKey)
    return builder.sign(spec.key, None if edwards else spec.hash_).public_bytes(serialization.Encoding.DER)


def asked(chain: Sequence[bytes], roots: Sequence[bytes], lists: Sequence[bytes]) -> dict[str, str]:
    """What each oracle says."""
    return {which: oracle(chain, roots, lists, AT) for which, oracle in ORACLES.items()}


def generic(chain: Sequence[bytes], roots: Sequence[bytes], lists: Sequence[bytes]) -> tuple[str, tuple[bytes, ...]]:
    """Our code or ACCEPT, and the path without its anchor."""
    try:
        found = verify_path(chain, anchors=roots, at=AT, crls=lists, require_revocation=bool(lists))
    except PKIError as error:
        return error.code, ()
    return ACCEPT, found.path[:-1]


def profiled(branch: Branch, chain: list[bytes]) -> str:
    """The same of the engine for ISO 15118."""
    try:
        branch.judge(chain)
    except PKIError as error:
        return error.code
    return ACCEPT


# --- random graphs


class Shape(NamedTuple):
    """A random graph: what is presented, the roots, the lists, and what was spoiled on the way."""

    chain: list[bytes]
    roots: list[bytes]
    lists: list[bytes]
    told: str


CONSTRAINTS = [
    x509.NameConstraints([x509.DNSName("a.test")], None),
    x509.NameConstraints(None, [x509.DNSName("b.test")]),
    x509.NameConstraints([x509.DNSName("test")], [x509.DNSName("x.a.test")]),
]


def spoiled(draw: random.Random) -> dict[str, Any]:
    """Mostly nothing, sometimes one thing wrong or limiting about a CA."""
    return draw.choice(
        [
            {},
            {},
            {},
            {},
            {},
            {"days": (-9, -1)},
            {"days": (1, 9)},
            {"path_length": draw.randint(0, 2)},
            {"usage": frozenset({"crl_sign"})},
            {"without": [x509.BasicConstraints]},
            {"extra": [(draw.choice(CONSTRAINTS), True)]},
            {"flip": [x509.SubjectKeyIdentifier]},
        ]
    )


def drawn(seed: int) -> Shape:
    """Up to two roots, up to five CAs that any earlier one may have certified, some of them twice; one leaf."""
    draw = random.Random(seed)
    told = []
    roots = []
    for number in range(draw.randint(1, 2)):
        change = spoiled(draw) if draw.random() < 0.2 else {}
        told.append(f"root {number} {change}")
        roots.append(paper(f"Root {number}", ca=True, key=KEYS[number], **change))
    held, cas = list(roots), []
    for number in range(draw.randint(1, 5)):
        for _ in range(draw.choice([1, 1, 2])):
            above, change = draw.choice(roots + cas), spoiled(draw)
            told.append(f"CA {number} under {above.subject.rfc4514_string()} {change}")
            made = paper(f"CA {number}", above, ca=True, key=KEYS[2 + number], **change)
            if draw.random() < 0.1:
                made = Paper(made.der[:-1] + bytes([made.der[-1] ^ 1]), made.subject, made.key)
                told[-1] += " signature spoiled"
            cas.append(made)
    host = draw.choice(["a.test", "x.a.test", "b.test", "example.com"])
    above = draw.choice(cas)
    leaf = paper("Leaf", above, extra=[(x509.SubjectAlternativeName([x509.DNSName(host)]), False)])
    told.append(f"leaf {host} under {above.subject.rfc4514_string()}")
    lists = []
    if draw.random() < 0.5:
        revoked = draw.choice([*cas, leaf]).parsed.serial_number if draw.random() < 0.3 else 1
        told.append(f"revoked {revoked}")
        named = {one.subject: one for one in (*roots, *cas)}
        lists = [revocation_list(one, [revoked]) for one in named.values()]
    others = [one.der for one in cas]
    draw.shuffle(others)
    trusted = [one.der for one in held if draw.random() < 0.9] or [held[0].der]
    return Shape([leaf.der, *others], trusted, lists, "; ".join(told))


def compare_tables(differences: Differences) -> None:
    for what, branch, spoil in rows():
        chain = spoil(branch) or branch.mint()
        lists = [clean_list(spec) for spec in (branch.root, branch.sub1, branch.sub2)]
        theirs = asked(chain, [branch.anchor()], lists)
        differences.compare(what, V2G, profiled(branch, chain), theirs)
        differences.compare(what, GENERIC, generic(chain, [branch.anchor()], lists)[0], theirs)


def compare_graphs(differences: Differences) -> None:
    for seed in range(150):
        shape = drawn(seed)
        ours, path = generic(shape.chain, shape.roots, shape.lists)
        theirs = asked(shape.chain, shape.roots, shape.lists)
        if path and set(theirs.values()) != {ACCEPT}:
            theirs = asked(path, shape.roots, shape.lists)
        differences.outcomes.add(ours)
        differences.compare(f"{seed}: {shape.told}", GENERIC, ours, theirs)


@pytest.fixture(scope="module")
def differences() -> Differences:
    """What both sets show."""
    found = Differences()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        compare_tables(found)
    compare_graphs(found)
    return found


def test_every_difference_has_a_reason(differences: Differences) -> None:
    assert differences.unexplained == []


def test_every_reason_is_needed(differences: Differences) -> None:
    assert [entry for entry in (*REFUSED_BY_US, *REFUSED_BY_THEM) if entry not in differences.met] == []


def test_random_graphs_end_in_many_ways(differences: Differences) -> None:
    wanted = {ACCEPT, "expired", "not-yet-valid", "name-constraints", "path-length", "signature", "revoked"}
    assert wanted <= differences.outcomes
