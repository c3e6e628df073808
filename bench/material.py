"""The chains that are measured: for each algorithm one root, Sub1, Sub2 and leafs, issued by our own authority."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pki.certificate import Certificate, parse_certificate
from pki.identifiers import emaid_check_character
from pki.issue.declaration import (
    BackendDeclaration,
    BranchDeclaration,
    LabDeclaration,
    LeafDeclaration,
    RootDeclaration,
    RootKey,
)
from pki.issue.lab import Lab, build_lab
from pki.pem import parse_chain_pem
from pki.profile import AnchorRole, Profile
from pki.profiles import profile_named
from pki.verify import RevocationEvidence, TrustStore, verify

LEAFS = 64
AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
_KINDS = {
    "P-256": (RootKey.P256, "iso15118-2-contract"),
    "P-521": (RootKey.P521, "iso15118-20-contract"),
    "Ed448": (RootKey.ED448, "iso15118-20-contract"),
}


class Family(NamedTuple):
    """The contract chains below one root: DER, leaf first, the same two sub-CAs in each."""

    name: str
    profile: Profile
    trust: TrustStore
    root: Certificate
    chains: tuple[tuple[bytes, ...], ...]
    emaids: tuple[str, ...]
    evidence: RevocationEvidence
    sub2_key: bytes

    def parsed(self) -> tuple[Certificate, Certificate]:
        """The first leaf and its issuer."""
        leaf, sub2 = (parse_certificate(der) for der in self.chains[0][:2])
        return leaf, sub2


def families() -> list[Family]:
    """One family for each algorithm, each verified once. About 2 s."""
    lab = build_lab(_declaration(), AT)
    return [_family(lab, name) for name in _KINDS]


def _declaration() -> LabDeclaration:
    return LabDeclaration(
        organization="bench",
        country="DE",
        ca_age_days=400,
        crl_days=30,
        backdate_minutes=60,
        publication="http://pki.bench.invalid",
        root={
            _folder(name): RootDeclaration(common_name=f"Root {name}", role=AnchorRole.MO, key=key)
            for name, (key, _) in _KINDS.items()
        },
        branch=[
            BranchDeclaration(
                name=_folder(name),
                folder=f"leafs-{_folder(name)}",
                profile=profile,
                root=_folder(name),
                sub1=f"Sub-CA 1 {name}",
                sub2=f"Sub-CA 2 {name}",
                leaf=[LeafDeclaration(name=f"leaf-{at}", common_name=_emaid(at)) for at in range(LEAFS)],
            )
            for name, (_, profile) in _KINDS.items()
        ],
        backend=BackendDeclaration(common_name="Backend", dns_names=["localhost"], addresses=[], clients=[]),
    )


def _folder(name: str) -> str:
    return name.lower().replace("-", "")


def _emaid(at: int) -> str:
    normal = f"DEBEN{at:09}"
    return normal + emaid_check_character(normal)


def _family(lab: Lab, name: str) -> Family:
    folder = _folder(name)
    (root,) = parse_chain_pem(lab.files[f"trust/mo/{folder}.pem"].content)
    trust = TrustStore.from_der({AnchorRole.MO: [root]})
    profile = profile_named(_KINDS[name][1])
    chains = tuple(parse_chain_pem(lab.files[f"leafs-{folder}/leaf-{at}.pem"].content) for at in range(LEAFS))
    evidence = RevocationEvidence(
        [file.content for path, file in lab.files.items() if path.startswith(f"crls/{folder}")]
    )
    for at, chain in enumerate(chains):
        verify(
            chain, profile=profile, trust=trust, at=AT, revocation=evidence, emaid=_emaid(at), require_revocation=True
        )
    emaids = tuple(_emaid(at) for at in range(LEAFS))
    key = lab.files[f"ca/{folder}-sub2.key.pem"].content
    return Family(name, profile, trust, parse_certificate(root), chains, emaids, evidence, key)
