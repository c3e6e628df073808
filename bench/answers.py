"""The table of what the authority's signatures cost: `python -m bench.answers`. Prints Markdown, writes nothing, about
20 seconds.

Every ratio is the work by the raw signature of the same octets: 1.00 would mean that nothing but the signature takes
time. Both are measured in turns in the same run, in CPU seconds, best of five.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import cycle

import cryptography
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from bench.material import AT
from bench.timing import best_of, each
from pki.certificate import Certificate, KeyKind
from pki.issue.answers import GOOD, AnswerSigner, revoked
from pki.issue.authority import Authority, LeafOrder, Publication, Subject, Validity, create_root
from pki.issue.keys import PrivateKey, fresh_serial, generate_key
from pki.issue.lists import Reason, Revocation
from pki.profiles import profile_named
from pki.verify.certificate_id import HashAlgorithm
from pki.verify.ocsp import parse_ocsp, verify_ocsp

_KINDS = {
    "P-256": (KeyKind.P256, "iso15118-2-secc", "DE*ABC*E1"),
    "P-521": (KeyKind.P521, "iso15118-20-secc", f"DEABCS{'0' * 32}1"),
    "Ed448": (KeyKind.ED448, "iso15118-20-secc", f"DEABCS{'0' * 32}1"),
}
_TIMES = {"P-256": 800, "P-521": 100, "Ed448": 150}
_ANSWER_LIMIT, _LIST_LIMIT_S = 1.30, 2.0
ENTRIES = 100_000
_DAY = timedelta(days=1)
_BASE = "http://pki.bench.invalid"


def main() -> None:
    """Print the table."""
    print(f"# {platform.machine()}, Python {platform.python_version()}, cryptography {cryptography.__version__}")
    print("\n| job | microseconds | raw signature | ratio | at most |\n|---|---|---|---|---|")
    for name in _KINDS:
        for row in _ratios(name):
            print(row, flush=True)
    print(f"\n| list of {ENTRIES:,} entries | seconds | at most |\n|---|---|---|")
    print(_list_row(), flush=True)


def _ratios(name: str) -> Iterator[str]:
    authority = _authority(name)
    signer, key = _signer(authority)
    answer = _answer(signer, revocation=False)
    sample = parse_ocsp(answer())
    assert verify_ocsp(sample, authority.certificate).entries
    leaf = _issue(authority, name)
    jobs: dict[str, tuple[Callable[[], object], bytes, float | None]] = {
        "OCSP answer, good": (answer, sample.signed, _ANSWER_LIMIT),
        "OCSP answer, revoked, with a nonce": (_answer(signer, revocation=True), sample.signed, _ANSWER_LIMIT),
        "certificate, linted and its signature verified": (leaf, leaf().tbs, None),
    }
    for what, (work, octets, limit) in jobs.items():
        raw, spent = best_of([each(_raw(key, octets), _TIMES[name]), each(work, _TIMES[name])])
        most = "" if limit is None else f"{limit:.2f}"
        yield f"| {what}, {name} | {spent * 1e6:.1f} | {raw * 1e6:.1f} | {spent / raw:.2f} | {most} |"


def _raw(key: PrivateKey, octets: bytes) -> Callable[[], bytes]:
    """The limit: one signature and nothing else."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return lambda: key.sign(octets)
    algorithm = ec.ECDSA(hashes.SHA256() if key.key_size == 256 else hashes.SHA512())
    return lambda: key.sign(octets, algorithm)


def _authority(name: str) -> Authority:
    """A Sub2 of the algorithm, that says where it publishes."""
    kind, profile, _ = _KINDS[name]
    life = Validity(AT, AT + 1000 * _DAY)
    published = Publication(crl=f"{_BASE}/crls/a.crl", responder=f"{_BASE}/ocsp", issuer=f"{_BASE}/ca/a.cer")
    made = create_root(
        Subject(common_name="Root"), generate_key(kind), life, fresh_serial(), profile_named(profile), published
    )
    for below in ("Sub1", "Sub2"):
        made = made.sub_authority(Subject(common_name=below), generate_key(kind), life, fresh_serial(), published)
    return made


def _signer(authority: Authority) -> tuple[AnswerSigner, PrivateKey]:
    key = generate_key(authority.certificate.key_kind)
    life = Validity(AT, AT + 30 * _DAY)
    delegate = authority.ocsp_signer(Subject(common_name="OCSP"), key.public_key(), life, fresh_serial())
    return AnswerSigner(authority.certificate, delegate, key), key


def _answer(signer: AnswerSigner, *, revocation: bool) -> Callable[[], bytes]:
    """Answers about serial numbers that change, as requests do."""
    serials = cycle([fresh_serial() for _ in range(512)])
    end, standing = AT + _DAY, revoked(AT - _DAY, Reason.KEY_COMPROMISE) if revocation else GOOD
    nonce = bytes(32) if revocation else None

    def work() -> bytes:
        return signer.answer(
            next(serials), standing, this_update=AT, next_update=end, algorithm=HashAlgorithm.SHA256, nonce=nonce
        )

    return work


def _issue(authority: Authority, name: str) -> Callable[[], Certificate]:
    kind, profile, common_name = _KINDS[name]
    order = LeafOrder(
        subject=Subject(
            common_name=common_name, organization="Bench", domain_component=profile_named(profile).domain_component
        ),
        public_key=generate_key(kind).public_key(),
        validity=Validity(AT, AT + 60 * _DAY),
        serial=fresh_serial(),
    )
    return lambda: authority.issue(order)


def _list_row() -> str:
    authority = _authority("P-256")
    reasons = [reason for reason in Reason if reason is not Reason.REMOVE_FROM_CRL]
    entries = [
        Revocation(fresh_serial(), AT - timedelta(seconds=at), reasons[at % len(reasons)]) for at in range(ENTRIES)
    ]

    def build() -> bytes:
        return authority.crl(1, entries, AT, AT + _DAY)

    (spent,) = best_of([each(build, 1)])
    what = f"built and signed, {len(build()) / 1e6:.1f} MB, a reason and a time of its own in each"
    return f"| {what} | {spent:.2f} | {_LIST_LIMIT_S:.0f} |"


if __name__ == "__main__":
    main()
