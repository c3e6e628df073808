"""A verifier that remembers says what one that does not remember says: same chain, same findings, same refusal.

The chains are chosen to tempt a memory: leafs of every fault below the same issuers, issuers with departures of their
own, in any order, with strangers and roots among them, roots that renew each other, lists that come and go.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings, strategies as st

from pki.errors import ChainRejected, NoEvidence, PKIError
from pki.profile import AnchorRole, Tolerance
from pki.profiles import profile_named
from pki.verify import RevocationEvidence, TrustStore, VerifiedChain, verify
from pki.verify.cache import ChainVerifier
from pki.verify.policy import STRICT, VerifyPolicy
from tests.pki.mint import AT, CA_USAGE, CONTRACT_USAGE, Branch, Spec, name_of, new_key, sound_branch

CONTRACT, OEM = profile_named("iso15118-2-contract"), profile_named("iso15118-2-oem")
DAY = timedelta(days=1)
EMAIDS = ("DEABC000000001G", "DEABC000000001", "DEABC0000000017", "NLABC000000002", "nonsense", None)
FIELDS = tuple(name for name in VerifiedChain.__struct_fields__ if name != "token")


def leafs(branch: Branch) -> list[bytes]:
    """Below one Sub2: sound ones, and one for each way to go wrong or to depart."""
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    changes: list[dict[str, object]] = [
        {},
        {"name": name_of("NLABC000000002"), "serial": 77},
        {"name": name_of("DEABC0000000017")},
        {"name": name_of("no account")},
        {"name": name_of("DEABC000000001G", dc="CPO")},
        {"aki": False},
        {"days": (-10, 450)},
        {"days": (-10, 30)},
        {"days": (5, 100)},
        {"extra": [(purpose, False)]},
        {"extra": [(purpose, False)], "aki": False},
        {"usage": frozenset({"digital_signature"})},
        {"ca": True, "path_length": 0},
        {"signer": new_key()},
        {"issuer": name_of("Stranger")},
        {"aki_value": x509.AuthorityKeyIdentifier(b"another", None, None)},
        {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x82" + bytes(500)), False)]},
    ]
    made = []
    for change in changes:
        usual = {"name": name_of("DEABC000000001G", dc="MO"), "serial": 5, "key": new_key()}
        values = {"ca": False, "path_length": None, "usage": CONTRACT_USAGE, **usual, **change}
        made.append(Spec(**values).mint(branch.sub2))
    return [*made, made[0][:-1], b""]


def list_of(issuer: Spec, number: int, *serials: int, age: int = 1) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(AT - age * DAY)
        .next_update(AT + (20 - age) * DAY)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(AT + 3 * DAY)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class World:
    """Chains, states of trust and of evidence to draw from."""

    def __init__(self) -> None:
        branch = sound_branch()
        root, sub1, sub2 = branch.root, branch.sub1, branch.sub2
        self.leafs = leafs(branch)
        direct = Spec(name_of("DEABC000000001G"), False, None, CONTRACT_USAGE).mint(root)
        one_sub = deepcopy_spec(sub2)
        renewed_sub2 = deepcopy_spec(sub2, days=(-20, 60))
        bare_sub2 = deepcopy_spec(sub2, aki=False)
        stranger = Spec(sub2.name, True, 0, CA_USAGE)
        old, new = root.mint(root), deepcopy_spec(root, days=(-5, 2000)).mint(root)
        short = deepcopy_spec(root, days=(-300, 10)).mint(root)
        twin = Spec(root.name, True, None, CA_USAGE, days=(-100, 1000))
        issuing = sub2.mint(sub1), sub1.mint(root)
        self.above: list[tuple[bytes, ...]] = [
            issuing,
            issuing[::-1],
            (*issuing, old),
            (*issuing, new),
            (*issuing, twin.mint(twin)),
            (renewed_sub2.mint(sub1), issuing[1]),
            (renewed_sub2.mint(sub1), *issuing),
            (bare_sub2.mint(sub1), issuing[1]),
            (bare_sub2.mint(sub1), issuing[1], direct),
            (stranger.mint(sub1), issuing[1]),
            (stranger.mint(sub1), *issuing),
            (one_sub.mint(root),),
            (one_sub.mint(root), *issuing),
            (issuing[0], issuing[0], issuing[1]),
            (issuing[1],),
            (),
        ]
        self.leafs.append(direct)
        self.trusts = [
            TrustStore.from_der({role: roots})
            for role in (AnchorRole.MO, AnchorRole.V2G, AnchorRole.OEM)
            for roots in ([old], [short, new], [twin.mint(twin), old, short])
        ]
        self.evidence = [
            None,
            RevocationEvidence(),
            RevocationEvidence([list_of(sub2, 1), list_of(sub1, 1), list_of(root, 1)]),
            RevocationEvidence([list_of(sub2, 2, 77, age=2), list_of(sub2, 1, age=9), list_of(sub1, 1)]),
            RevocationEvidence([list_of(sub2, 1), list_of(stranger, 9, 5), list_of(sub1, 3, sub2.serial)]),
        ]


def deepcopy_spec(spec: Spec, **changes: object) -> Spec:
    """The same name, key and serial in another certificate."""
    values = {name: getattr(spec, name) for name in Spec.__dataclass_fields__}
    return Spec(**{**values, **changes})


WORLD = World()
POLICIES = (
    STRICT,
    VerifyPolicy(refused=frozenset({Tolerance.AKI_MISSING, Tolerance.CHAIN_ORDER})),
    VerifyPolicy(tolerated=frozenset({Tolerance.CHECK_CHARACTER, Tolerance.LIFETIME_OUTSIDE_ISSUER})),
)
# Around every turn of this world: the ends of leafs, renewals, anchors and lists, and the instants beside them.
INSTANTS = [
    AT + days * DAY + beside
    for days in (-320, -100, -50, -40, -20, -10, -9, -5, -2, -1, 0, 3, 5, 10, 11, 18, 19, 30, 60, 100, 400, 450, 1000)
    for beside in (-timedelta(microseconds=1), timedelta(0), timedelta(microseconds=1))
]

NEAR = [at for at in INSTANTS if abs(at - AT) < 12 * DAY]


def outcome(call: Callable[[], VerifiedChain]) -> tuple[object, ...]:
    """Everything that a verdict says."""
    try:
        found = call()
    except PKIError as error:
        told: tuple[object, ...] = (type(error), error.code, str(error), error.clause, error.index)
        if isinstance(error, ChainRejected | NoEvidence):
            told += (error.findings, error.emaid)
        return told
    return tuple(getattr(found, name) for name in FIELDS)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_memory_changes_no_verdict(seed: int) -> None:
    draw = random.Random(seed)
    # Few of each, drawn anew for every example, so that there is something to remember.
    states = [
        (draw.randrange(len(WORLD.trusts)), draw.randrange(len(WORLD.evidence)), draw.randrange(len(POLICIES)))
        for _ in range(2)
    ]
    surroundings = draw.sample(WORLD.above, 2)
    instants = draw.sample(NEAR, 4) + draw.sample(INSTANTS, 2)
    candidates = draw.sample(WORLD.leafs[:3], 2) + draw.sample(WORLD.leafs, 3)
    verifiers: dict[tuple[int, int, int], ChainVerifier] = {}
    for _ in range(60):
        state, leaf, above = draw.choice(states), draw.choice(candidates), draw.choice(surroundings)
        request = {
            "profile": OEM if draw.random() < 0.05 else CONTRACT,
            "at": draw.choice(instants),
            "emaid": draw.choice(EMAIDS),
            "require_revocation": draw.random() < 0.2,
        }
        trust, evidence, policy = WORLD.trusts[state[0]], WORLD.evidence[state[1]], POLICIES[state[2]]
        remembering = verifiers.setdefault(state, ChainVerifier(trust, evidence, policy))
        chain = [bytes(bytearray(der)) for der in (leaf, *above)]
        kept = outcome(partial(remembering.verify, chain, **request))
        fresh = outcome(partial(verify, chain, trust=trust, revocation=evidence, policy=policy, **request))
        assert kept == fresh


def test_the_world_of_the_law_is_various() -> None:
    """The law says something only if its requests end in many ways and often in the memory."""
    verdicts: Counter[object] = Counter()
    for trust in WORLD.trusts[:3]:
        verifier = ChainVerifier(trust, WORLD.evidence[3])
        for above in WORLD.above:
            for leaf in WORLD.leafs:
                for at in (AT, AT + 25 * DAY):
                    found = outcome(partial(verifier.verify, [leaf, *above], profile=CONTRACT, at=at))
                    verdicts[found[1] if isinstance(found[0], type) else "accepted"] += 1
        assert len(verifier._leafs) > 20
        assert len(verifier._issuers) > 3
    assert verdicts["accepted"] > 50
    assert len(verdicts) >= 15
