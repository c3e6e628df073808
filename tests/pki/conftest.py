"""One lab for the whole session, made at a fixed instant, and a fresh sound branch for each test to spoil."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448

from pki.issue.declaration import parse_declaration
from pki.issue.lab import Lab, build_lab
from pki.pem import parse_chain_pem
from pki.profiles import AnchorRole
from pki.verify import RevocationEvidence, TrustStore
from tests.pki.mint import AT, Branch, new_p521, sound_branch, sound_branch_20

LAB_TOML = Path(__file__).parents[2] / "certs" / "lab.toml"


@pytest.fixture(scope="session")
def made_lab() -> Lab:
    """The declared lab, made at AT."""
    return build_lab(parse_declaration(LAB_TOML.read_bytes()), AT)


@pytest.fixture(scope="session")
def lab_chain(made_lab: Lab) -> Callable[[str], tuple[bytes, ...]]:
    """The DER chain of a PEM file of the lab."""
    return lambda path: parse_chain_pem(made_lab.files[path].content)


@pytest.fixture(scope="session")
def lab_trust(made_lab: Lab) -> TrustStore:
    """The lab's anchors by role."""
    held = {
        role: [
            der
            for path, file in made_lab.files.items()
            if path.startswith(f"trust/{role.value}/")
            for der in parse_chain_pem(file.content)
        ]
        for role in AnchorRole
    }
    return TrustStore.from_der(held)


@pytest.fixture(scope="session")
def lab_evidence(made_lab: Lab) -> RevocationEvidence:
    """Every CRL of the lab."""
    return RevocationEvidence([file.content for path, file in made_lab.files.items() if path.startswith("crls/")])


@pytest.fixture
def branch() -> Branch:
    """A contract branch that is right in every point."""
    return sound_branch()


@pytest.fixture(params=[new_p521, ed448.Ed448PrivateKey.generate], ids=["p521", "ed448"])
def branch20(request: pytest.FixtureRequest) -> Branch:
    """A -20 contract branch that is right in every point."""
    return sound_branch_20(request.param)
