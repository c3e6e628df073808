"""Revoking, releasing, and what is published of it."""

from __future__ import annotations

import pytest
from cryptography import x509

from pki.issue.answers import GOOD, UNKNOWN
from pki.issue.lists import Reason
from pki.service.acts.issuing import Issued, reissue
from pki.service.acts.publishing import publish, refresh
from pki.service.acts.renewing import renew
from pki.service.acts.responding import answer_signer, delegate, standing
from pki.service.acts.revoking import release, revoke
from pki.service.registry import Registry
from pki.service.store.certificates import Held, find_by_hash, find_by_identity
from pki.service.store.publications import ListKind, find_list
from tests.pki.registry.house import BY, DAY, HOUR, Clock, contract, judged
from tests.pki.registry.test_issuing_acts import held, refused

_MANY_REVOKED = """
WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 10001)
INSERT INTO certificate
SELECT authority, CAST(printf('%020d', n) AS BLOB), CAST(printf('%032d', n) AS BLOB), profile, place, 'many',
       spki_sha256, not_before, not_after, der, issued_at, issued_to, issued_at, 'superseded'
FROM certificate, many WHERE sha256 = ?
"""


def full(registry: Registry, name: str = "mo-sub2") -> x509.CertificateRevocationList:
    return read(registry, name, ListKind.FULL)


def delta(registry: Registry, name: str = "mo-sub2") -> x509.CertificateRevocationList:
    return read(registry, name, ListKind.DELTA)


def read(registry: Registry, name: str, kind: ListKind) -> x509.CertificateRevocationList:
    with registry.reading() as connection:
        found = find_list(connection, name, kind)
    assert found is not None
    return x509.load_der_x509_crl(found.der)


def number(made: x509.CertificateRevocationList) -> int:
    return made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base(made: x509.CertificateRevocationList) -> int:
    return made.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number


def reasons(made: x509.CertificateRevocationList) -> dict[int, str]:
    def told(entry: x509.RevokedCertificate) -> str:
        try:
            return str(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value)
        except x509.ExtensionNotFound:
            return "unspecified"

    return {entry.serial_number: told(entry) for entry in made}


def named(registry: Registry, identity: str) -> Held:
    with registry.reading() as connection:
        return find_by_identity(connection, identity)[0]


def of(registry: Registry, made: Issued) -> Held:
    return held(registry, made.certificate.sha256)


def test_what_is_revoked_is_on_the_list_and_in_the_delta_of_the_same_number(registry: Registry, clock: Clock) -> None:
    before, made = number(full(registry)), contract(registry, 5)
    clock.move(HOUR)
    revoke(registry, of(registry, made), Reason.KEY_COMPROMISE, BY)
    assert refresh(registry, BY).made == ("mo-sub2",)
    serial = made.certificate.serial
    assert reasons(full(registry))[serial] == "keyCompromise"
    assert reasons(delta(registry)) == {serial: "keyCompromise"}
    assert (number(delta(registry)), base(delta(registry))) == (number(full(registry)), before)
    assert judged(registry, made.chain) == "revoked"
    assert refresh(registry, BY).made == ()
    with refused("revoked"):
        revoke(registry, of(registry, made), Reason.SUPERSEDED, BY)
    with refused("not-on-hold"):
        release(registry, of(registry, made), BY)


def test_what_was_on_hold_is_released_and_the_delta_says_so(registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5)
    serial = made.certificate.serial
    revoke(registry, of(registry, made), Reason.CERTIFICATE_HOLD, BY)
    refresh(registry, BY)
    assert reasons(full(registry))[serial] == "certificateHold"
    with refused("revoked"):
        revoke(registry, of(registry, made), Reason.CERTIFICATE_HOLD, BY)
    clock.move(HOUR)
    release(registry, of(registry, made), BY)
    refresh(registry, BY)
    assert serial not in reasons(full(registry))
    assert reasons(delta(registry)) == {serial: "removeFromCRL"}
    assert judged(registry, made.chain) == "accepted"
    clock.move(HOUR)
    revoke(registry, of(registry, made), Reason.SUPERSEDED, BY)
    refresh(registry, BY)
    assert reasons(delta(registry)) == {serial: "superseded"}


def test_a_hold_becomes_a_revocation_for_good(registry: Registry) -> None:
    made = contract(registry, 5)
    revoke(registry, of(registry, made), Reason.CERTIFICATE_HOLD, BY)
    revoke(registry, of(registry, made), Reason.KEY_COMPROMISE, BY)
    assert of(registry, made).reason == "keyCompromise"
    with refused("not-on-hold"):
        release(registry, of(registry, made), BY)


@pytest.mark.parametrize("name", ["mo-sub2", "mo-sub2 OCSP"])
def test_only_leafs_are_put_on_hold(registry: Registry, name: str) -> None:
    with refused("reason"):
        revoke(registry, named(registry, name), Reason.CERTIFICATE_HOLD, BY)
    with refused("reason"):
        revoke(registry, named(registry, name), Reason.REMOVE_FROM_CRL, BY)


def test_an_authority_that_is_revoked_takes_those_below_with_it_and_all_begin_anew(
    registry: Registry, clock: Clock
) -> None:
    old = contract(registry, 5)
    clock.move(HOUR)
    revoke(registry, named(registry, "mo-sub1"), Reason.CA_COMPROMISE, BY)
    refresh(registry, BY)
    assert not any(registry.authority(name).active for name in ("mo-sub1", "mo-sub2"))
    assert registry.authority("cpo-sub2").active
    assert judged(registry, old.chain) == "revoked"
    with refused("authority-unknown"):
        contract(registry, 6)
    with refused("retired"):
        renew(registry, "mo-sub1", BY)
    with refused("retired"):
        renew(registry, "mo-sub2", BY)  # Its issuer is not there yet.
    assert renew(registry, "mo-sub1", BY, new_key=True) == "mo-sub1-2"
    assert renew(registry, "mo-sub2", BY) == "mo-sub2"
    refresh(registry, BY)
    made = contract(registry, 6)
    assert judged(registry, made.chain) == "accepted"
    with refused("retired"):
        renew(registry, "mo-sub1", BY, new_key=True)


def test_a_revoked_sub_authority_is_begun_anew_with_a_new_key_only(registry: Registry) -> None:
    revoke(registry, named(registry, "mo-sub2"), Reason.KEY_COMPROMISE, BY)
    with refused("retired"):
        renew(registry, "mo-sub2", BY)
    assert renew(registry, "mo-sub2", BY, new_key=True) == "mo-sub2-2"
    refresh(registry, BY)
    assert judged(registry, contract(registry, 6).chain) == "accepted"


@pytest.mark.parametrize(("reason", "active"), [(Reason.SUPERSEDED, True), (Reason.KEY_COMPROMISE, False)])
def test_a_former_certificate_ends_the_authority_only_when_the_key_is_exposed(
    registry: Registry, reason: Reason, active: bool
) -> None:
    former = registry.authority("mo-sub2").certificate
    renew(registry, "mo-sub2", BY)
    revoke(registry, held(registry, former.sha256), reason, BY)
    assert registry.authority("mo-sub2").active is active


def test_an_entry_stays_until_one_list_after_the_end_of_its_certificate(registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5, days=1)
    revoke(registry, of(registry, made), Reason.SUPERSEDED, BY)
    refresh(registry, BY)
    clock.move(2 * DAY)
    publish(registry, BY, ["mo-sub2"])
    assert made.certificate.serial in reasons(full(registry))
    clock.move(HOUR)
    publish(registry, BY, ["mo-sub2"])
    assert made.certificate.serial not in reasons(full(registry))


def test_lists_are_made_anew_after_half_of_their_life(registry: Registry, clock: Clock) -> None:
    before = number(full(registry))
    clock.move(11 * HOUR)
    assert refresh(registry, BY).made == ()
    clock.move(3 * DAY - 11 * HOUR)
    assert "mo-sub2" in refresh(registry, BY).made
    assert number(full(registry)) == before == base(delta(registry)) < number(delta(registry))
    clock.move(12 * HOUR)
    assert "mo-sub2" in refresh(registry, BY).made
    assert "mo-root" not in refresh(registry, BY).made
    assert number(full(registry)) > before


def test_a_long_list_is_not_made_anew_for_each_revocation(registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5)
    with registry.writing() as connection:  # As if there had been ten thousand.
        connection.execute(_MANY_REVOKED, (bytes.fromhex(made.certificate.sha256),))
    clock.move(HOUR)
    publish(registry, BY, ["mo-sub2"])
    clock.move(HOUR)
    before = number(full(registry))
    revoke(registry, of(registry, made), Reason.SUPERSEDED, BY)
    refresh(registry, BY)
    assert number(full(registry)) == before == base(delta(registry))
    assert reasons(delta(registry)) == {made.certificate.serial: "superseded"}
    assert number(delta(registry)) > before
    assert made.certificate.serial not in reasons(full(registry))
    clock.move(4 * DAY)
    refresh(registry, BY)
    assert reasons(full(registry))[made.certificate.serial] == "superseded"


def test_numbers_never_go_back(registry: Registry, clock: Clock) -> None:
    seen = [number(full(registry))]
    for step in range(5):
        clock.move(-HOUR if step == 2 else HOUR)  # A clock that was set back.
        publish(registry, BY, ["mo-sub2"])
        seen.append(number(full(registry)))
    assert seen == sorted(set(seen))


def test_a_retired_authority_goes_on_publishing_until_it_ends(registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5)
    renew(registry, "mo-sub2", BY, new_key=True)
    assert not registry.authority("mo-sub2").active
    clock.move(HOUR)
    revoke(registry, of(registry, made), Reason.SUPERSEDED, BY)
    assert set(refresh(registry, BY).made) >= {"mo-sub2", "mo-sub2-2"}
    assert made.certificate.serial in reasons(full(registry, "mo-sub2"))
    assert made.certificate.serial not in reasons(full(registry, "mo-sub2-2"))
    assert judged(registry, made.chain) == "revoked"


def test_an_authority_that_has_ended_does_not_stop_the_others(registry: Registry, clock: Clock) -> None:
    clock.at = registry.authority("mo-sub2").certificate.not_after
    done = refresh(registry, BY)
    assert "mo-root" in done.made
    assert "mo-sub2" not in done.made
    assert "mo-sub2" not in delegate(registry, BY).made
    assert "mo-root" in [*delegate(registry, BY, anew=True).made]


def test_a_key_that_others_may_have_is_revoked_wherever_it_is_certified(registry: Registry) -> None:
    first = contract(registry, 5)
    second = reissue(registry, of(registry, first), BY)
    revoke(registry, of(registry, first), Reason.KEY_COMPROMISE, BY)
    assert standing(registry, "mo-sub2", second.certificate.serial).reason is Reason.KEY_COMPROMISE
    third = contract(registry, 6)
    fourth = reissue(registry, of(registry, third), BY)
    revoke(registry, of(registry, third), Reason.SUPERSEDED, BY)
    assert standing(registry, "mo-sub2", fourth.certificate.serial) == GOOD


def test_an_exposed_former_certificate_of_an_authority_takes_its_present_one_with_it(registry: Registry) -> None:
    former = registry.authority("mo-sub2").certificate
    renew(registry, "mo-sub2", BY)
    present = registry.authority("mo-sub2").certificate
    revoke(registry, held(registry, former.sha256), Reason.CA_COMPROMISE, BY)
    assert standing(registry, "mo-sub1", present.serial).reason is Reason.CA_COMPROMISE
    assert not registry.authority("mo-sub2").active


def test_the_standing_of_a_serial_number(registry: Registry) -> None:
    made = contract(registry, 5)
    serial = made.certificate.serial
    assert standing(registry, "mo-sub2", serial) == GOOD
    assert standing(registry, "mo-sub1", serial) == UNKNOWN
    assert standing(registry, "mo-sub2", serial + 1) == UNKNOWN
    assert standing(registry, "mo-sub2", -1) == UNKNOWN
    assert standing(registry, "mo-sub2", 1 << 200) == UNKNOWN
    revoke(registry, of(registry, made), Reason.KEY_COMPROMISE, BY)
    assert standing(registry, "mo-sub2", serial).reason is Reason.KEY_COMPROMISE


def test_a_responder_is_renewed_in_time_and_missed_when_it_is_over(registry: Registry, clock: Clock) -> None:
    assert delegate(registry, BY).made == ()
    clock.move(21 * DAY)
    made = delegate(registry, BY).made
    assert "mo-sub2" in made
    assert "mo-root" not in made
    clock.move(31 * DAY)
    with refused("responder-missing"):
        answer_signer(registry, "mo-sub2")


def test_what_a_clock_that_was_ahead_made_is_made_again(registry: Registry, clock: Clock) -> None:
    made = contract(registry, 5)
    clock.move(400 * DAY)
    assert "mo-sub2" in delegate(registry, BY).made
    ahead = publish(registry, BY, ["mo-sub2"])
    assert ahead.made == ("mo-sub2",)
    before = number(full(registry))
    clock.move(-400 * DAY)
    with refused("responder-missing"):
        answer_signer(registry, "mo-sub2")
    assert "mo-sub2" in delegate(registry, BY).made
    assert answer_signer(registry, "mo-sub2").delegate.not_before <= clock()
    revoke(registry, of(registry, made), Reason.KEY_COMPROMISE, BY)
    assert "mo-sub2" in refresh(registry, BY).made
    assert full(registry).last_update_utc == clock()
    assert number(full(registry)) > before
    assert made.certificate.serial in reasons(full(registry))
    assert base(delta(registry)) == number(full(registry))


def test_every_list_says_where_its_delta_is_and_there_is_one(registry: Registry) -> None:
    for name, authority in registry.authorities().items():
        made = full(registry, name)
        if authority.is_root:
            assert not any(isinstance(entry.value, x509.FreshestCRL) for entry in made.extensions)
            continue
        assert made.extensions.get_extension_for_class(x509.FreshestCRL)
        assert base(delta(registry, name)) == number(delta(registry, name)) == number(made)
        assert reasons(delta(registry, name)).items() <= reasons(made).items()


def test_a_founded_lab_has_its_revoked_leafs_revoked(registry: Registry) -> None:
    with registry.reading() as connection:
        (carl,) = find_by_identity(connection, "DEABC000000003")
        assert find_by_hash(connection, bytes.fromhex(carl.sha256)) == carl
    assert carl.revoked_at is not None
    assert carl.serial in reasons(full(registry))
