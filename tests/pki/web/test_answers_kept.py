"""The answers in memory: compared with the store after every commit, made anew in time, bounded, never out of date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ocsp

from pki.errors import StateError
from pki.issue.lists import Reason
from pki.service.acts.responding import delegate
from pki.service.acts.revoking import revoke
from pki.service.registry import Registry
from pki.service.state_folder import open_registry
from pki.service.store.certificates import find_certificate
from pki.service.web.answers import Answers, Unauthorized
from pki.service.web.ocsp_request import CertificateID, encode_id
from pki.service.web.standing import Standing
from pki.verify.certificate_id import HashAlgorithm, IssuerID, issuer_id
from tests.pki_service import ACTOR, copy_pki


@dataclass
class SetInstant:
    """A clock that stands still until it is moved."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


@pytest.fixture
def clock() -> SetInstant:
    return SetInstant(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def registry(founded: Path, tmp_path: Path, clock: SetInstant) -> Iterator[Registry]:
    with open_registry(copy_pki(founded, tmp_path / "pki-state"), now=clock.now) as opened:
        delegate(opened, ACTOR)
        yield opened


@pytest.fixture
def standing(registry: Registry) -> Iterator[Standing]:
    found = Standing(registry)
    yield found
    found.close()


@pytest.fixture
def answers(registry: Registry, standing: Standing) -> Answers:
    return Answers(registry, standing)


def some_id(answers: Answers) -> CertificateID:
    return next(asked for asked in answers.living() if asked.issuer is not None)


def said(der: bytes) -> ocsp.OCSPCertStatus:
    return ocsp.load_der_ocsp_response(der).certificate_status


def test_every_certificate_that_lives_is_prepared_for_both_usual_hashes(answers: Answers, registry: Registry) -> None:
    with registry.reading() as connection:
        count = connection.execute("SELECT count(*) FROM certificate WHERE not_after > 0").fetchone()[0]
    ids = list(answers.living())
    assert len({each.der for each in ids}) == len(ids)
    algorithms = [each.issuer.algorithm for each in ids if each.issuer is not None]
    assert algorithms.count(HashAlgorithm.SHA1) == algorithms.count(HashAlgorithm.SHA256) == len(ids) // 2
    assert 10 < len(ids) // 2 <= count
    for asked in ids:
        answers.make(asked)
    assert len(answers) == len(ids)


def test_an_answer_is_made_anew_at_half_of_its_life(answers: Answers, clock: SetInstant) -> None:
    asked, life = some_id(answers), timedelta(hours=24)
    made = answers.make(asked)
    assert answers.prepared(asked.der, clock.now().timestamp()) is made
    clock.advance(life / 2)
    assert answers.prepared(asked.der, clock.now().timestamp()) is None
    assert answers.renew(clock.now().timestamp(), 16) == 1
    renewed = answers.prepared(asked.der, clock.now().timestamp())
    assert renewed is not None
    assert renewed.dated.expires_at == made.dated.expires_at + life / 2
    assert answers.renew(clock.now().timestamp(), 16) == 0


def test_no_answer_promises_more_than_the_life_of_its_signer(
    answers: Answers, clock: SetInstant, registry: Registry
) -> None:
    asked = next(each for each in answers.living() if leaf_of(registry, each))
    clock.advance(timedelta(days=registry.settings.lists.responder_days, hours=-1))
    made = answers.make(asked)
    assert made.dated.expires_at - clock.now() <= timedelta(hours=1)
    clock.advance(timedelta(hours=2))
    assert answers.prepared(asked.der, clock.now().timestamp()) is None


def test_a_revocation_takes_the_prepared_answer_back_at_once(
    answers: Answers, registry: Registry, clock: SetInstant
) -> None:
    asked = next(each for each in answers.living() if leaf_of(registry, each))
    answers.make(asked)
    with registry.reading() as connection:
        held = find_certificate(connection, leaf_of(registry, asked), asked.serial)
    assert held is not None
    revoke(registry, held, Reason.SUPERSEDED, ACTOR)
    assert answers.prepared(asked.der, clock.now().timestamp()) is None
    assert said(answers.make(asked).dated.body) is ocsp.OCSPCertStatus.REVOKED
    # Another commit changes nothing of it: the same octets go out.
    kept = answers.prepared(asked.der, clock.now().timestamp())
    registry.note_refusal(ACTOR, "test", "nothing", StateError("test", "nothing"))
    assert answers.prepared(asked.der, clock.now().timestamp()) is kept


def leaf_of(registry: Registry, asked: CertificateID) -> str:
    """The authority whose number it is, when it is one of a leaf; empty otherwise."""
    for held in registry.authorities().values():
        if asked.issuer == issuer_id(held.certificate, HashAlgorithm.SHA256) and held.row.issues:
            return held.name
    return ""


def test_unknown_numbers_are_not_kept(answers: Answers) -> None:
    issuer = some_id(answers).issuer
    assert issuer is not None
    for serial in range(1, 50):
        assert said(answers.make(encode_id(issuer, serial)).dated.body) is ocsp.OCSPCertStatus.UNKNOWN
    assert len(answers) == 0


def test_so_many_answers_are_kept_and_no_more(registry: Registry, standing: Standing) -> None:
    answers = Answers(registry, standing, max_kept=5)
    ids = list(answers.living())[:9]
    for asked in ids:
        answers.make(asked)
    assert [each in answers for each in ids] == [False] * 4 + [True] * 5


def test_expired_certificates_are_let_go(answers: Answers, registry: Registry, clock: SetInstant) -> None:
    for asked in answers.living():
        answers.make(asked)
    before = len(answers)
    clock.advance(timedelta(days=100))
    delegate(registry, ACTOR)
    while answers.renew(clock.now().timestamp(), 16):
        pass
    assert 0 < len(answers) < before


def test_a_stranger_is_not_answered_for(answers: Answers) -> None:
    with pytest.raises(Unauthorized):
        answers.make(encode_id(IssuerID(HashAlgorithm.SHA256, bytes(32), bytes(32)), 7))


def test_nothing_is_answered_when_the_store_cannot_be_read(
    answers: Answers, registry: Registry, standing: Standing, clock: SetInstant
) -> None:
    asked = some_id(answers)
    answers.make(asked)
    standing.close()
    registry.note_refusal(ACTOR, "test", "nothing", StateError("test", "nothing"))
    with pytest.raises(StateError):
        answers.prepared(asked.der, clock.now().timestamp())
    with pytest.raises(StateError):
        answers.make(asked)
