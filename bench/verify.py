"""The table of what verification costs: `python -m bench.verify`. Prints Markdown, writes nothing, about a minute.

Every ratio is raw signature verification by the work: 1.00 would mean that nothing but the signatures takes time. Both
are measured in turns in the same run, in CPU seconds, best of five. A chain has three signatures; where the sub-CAs are
known, one is left.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import cryptography
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from bench import lists
from bench.material import AT, Family, families
from bench.peers import peers_of
from bench.timing import Job, best_of, each, over
from pki.certificate import verify_signature
from pki.public_key import PublicKey
from pki.verify import ChainVerifier, RevocationEvidence, verify
from pki.verify.second_opinion import ask_second_opinion

SIGNATURES = 3
_TIMES = {"P-256": 400, "P-521": 100, "Ed448": 200}
_COLD = {"P-256": (0.55, 0.70), "P-521": (0.85, 0.92), "Ed448": (0.85, 0.92)}
_KNOWN = {"P-256": (0.65, 0.75), "P-521": (0.82, 0.90), "Ed448": (0.82, 0.90)}
_REPEATED = (300_000, 500_000)
_REQUESTS = 5000


def main() -> None:
    """Print the table."""
    print(f"# {platform.machine()}, Python {platform.python_version()}, cryptography {cryptography.__version__}")
    made = families()
    print("\n| job | microseconds | limit, microseconds | ratio | must | aim |\n|---|---|---|---|---|---|")
    for family in made:
        for row in _ratios(family):
            print(row, flush=True)
    print("\n| job | a second | must | aim |\n|---|---|---|---|")
    for row in _repeated(made[0]):
        print(row, flush=True)
    print("\n| list of 1,000,000 serial numbers | measured | must | aim |\n|---|---|---|---|")
    for row in _list_rows(made[0]):
        print(row, flush=True)


def raw(family: Family) -> Job:
    """The limit: one signature verification and nothing else."""
    leaf, issuer = family.parsed()
    key, signature, signed = issuer.public_key, leaf.signature, leaf.tbs
    assert verify_signature(issuer, leaf.signature_kind, signed, signature)
    return each(_raw_call(key, signature, signed), _TIMES[family.name])


def _raw_call(key: PublicKey | None, signature: bytes, signed: bytes) -> Callable[[], None]:
    if isinstance(key, ed448.Ed448PublicKey):
        return lambda: key.verify(signature, signed)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    algorithm = ec.ECDSA(hashes.SHA256() if key.key_size == 256 else hashes.SHA512())
    return lambda: key.verify(signature, signed, algorithm)


def _ratios(family: Family) -> Iterator[str]:
    name = family.name
    jobs: dict[str, tuple[Job, int, tuple[float, float] | None]] = {
        f"cold, full profile from DER, {name}": (_cold(family, None), SIGNATURES, _COLD[name]),
        f"cold, the same with revocation evidence, {name}": (_cold(family, family.evidence), SIGNATURES, None),
        f"known sub-CAs, full leaf profile, {name}": (_known(family, None), 1, _KNOWN[name]),
        f"known sub-CAs, the same with revocation evidence, {name}": (_known(family, family.evidence), 1, None),
        f"second opinion, once for new sub-CAs, {name}": (_opinion(family), SIGNATURES - 1, None),
    }
    seconds = best_of([raw(family), *(job for job, _, _ in jobs.values())])
    unit = seconds[0]
    print(f"| *one signature verification, {name}* | {unit * 1e6:.1f} | | | | |")
    for (what, (_, signatures, goal)), spent in zip(jobs.items(), seconds[1:], strict=True):
        yield _row(what, spent, unit * signatures, goal)
    peers = peers_of(family)
    seconds = best_of([raw(family), *peers.values()])
    for what, spent in zip(peers, seconds[1:], strict=True):
        yield _row(f"peer: {what}, {name}", spent, seconds[0] * SIGNATURES, None)


def _row(what: str, spent: float, limit: float, goal: tuple[float, float] | None) -> str:
    must, aim = goal or ("", "")
    return f"| {what} | {spent * 1e6:.1f} | {limit * 1e6:.1f} | {limit / spent:.2f} | {must} | {aim} |"


def _cold(family: Family, evidence: RevocationEvidence | None) -> Job:
    chains = cycle(family.chains)

    def work() -> object:
        return verify(next(chains), profile=family.profile, trust=family.trust, at=AT, revocation=evidence)

    return each(work, _TIMES[family.name])


def _known(family: Family, evidence: RevocationEvidence | None) -> Job:
    """Leafs never seen before, by a verifier that has seen another leaf of their issuers."""

    def prepare() -> Callable[[], int]:
        verifier = ChainVerifier(family.trust, evidence, second_opinion=None)
        first, *others = family.chains
        verifier.verify(first, profile=family.profile, at=AT)

        def run() -> int:
            for chain in others:
                verifier.verify(chain, profile=family.profile, at=AT)
            return len(others)

        return run

    return over(prepare, _TIMES[family.name] // 40)


def _opinion(family: Family) -> Job:
    path = verify(family.chains[0], profile=family.profile, trust=family.trust, at=AT).path

    def work() -> object:
        reason = ask_second_opinion(path[1:-1], path[-1])
        assert reason is None
        return reason

    return each(work, _TIMES[family.name] // 2)


def _repeated(family: Family) -> Iterator[str]:
    """Leafs seen before, each request in octets of its own as they come from a socket."""

    def prepare() -> Callable[[], int]:
        verifier = ChainVerifier(family.trust, family.evidence)
        for chain, emaid in zip(family.chains, family.emaids, strict=True):
            verifier.verify(chain, profile=family.profile, at=AT, emaid=emaid)
        wanted = cycle(zip(family.chains, family.emaids, strict=True))
        requests = [
            (tuple(bytes(bytearray(der)) for der in chain), emaid)
            for _, (chain, emaid) in zip(range(_REQUESTS), wanted, strict=False)
        ]

        def run() -> int:
            for chain, emaid in requests:
                verifier.verify(chain, profile=family.profile, at=AT, emaid=emaid)
            return len(requests)

        return run

    (spent,) = best_of([over(prepare, 2)])
    must, aim = _REPEATED
    yield f"| repeated leaf, time and revocation asked, {family.name} | {1 / spent:,.0f} | {must:,} | {aim:,} |"


def _list_rows(family: Family) -> Iterator[str]:
    leaf, issuer = family.parsed()
    with tempfile.TemporaryDirectory() as name:
        lists.make(Path(name), issuer, family.sub2_key, leaf)
        command = [sys.executable, "-m", "bench.lists", name]
        cost: lists.Cost = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    size = f"{cost['octets'] / 1e6:.0f} MB of DER"
    yield f"| import, {size}, verified and indexed | {cost['import_s']:.1f} s | 30 s | 10 s |"
    yield f"| look-up | {cost['lookup_s'] * 1e6:.2f} us | 10 us | 2 us |"
    yield f"| memory kept | {cost['kept'] / 2**20:.0f} MiB | 64 MB | 32 MB |"
    yield f"| memory at the highest, while importing | {cost['peak'] / 2**20:.0f} MiB | | |"


if __name__ == "__main__":
    main()
