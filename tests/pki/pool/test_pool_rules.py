"""The rules of the pools, asked of their acts: cars, contracts, roots, clients, tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pki.certificate import parse_certificate
from pki.errors import BundleRejected, PKIError, PoolRefused
from pki.issue.contract import open_bundle, parse_bundle
from pki.issue.lists import Reason
from pki.profile import AnchorRole, Generation
from pki.service.acts.publishing import refresh
from pki.service.acts.revoking import revoke
from pki.service.pool.clients import Client, Role, add_client, delete_client, list_clients, renew_secret
from pki.service.pool.contracts import delete_contract, find_contracts, prefer_contract
from pki.service.pool.identities import vehicle_id
from pki.service.pool.pools import PoolSettings
from pki.service.pool.purging import purge
from pki.service.pool.roots import Change, changes_after, last_change, list_roots, put_root, remove_root
from pki.service.pool.signing import ContractWish, generate_contract, store_signed
from pki.service.pool.tokens import issue_token, read_token
from pki.service.pool.trust_lists import TrustLists
from pki.service.pool.vehicles import VehicleChain, delete_vehicle, get_vehicle, has_vehicle, put_vehicle
from pki.service.store.audit import Actor, first_broken, read_entries
from pki.service.store.certificates import Held, find_by_hash
from pki.verify import TrustStore
from pki.verify.trust_list import verify_trust_list
from tests.pki.mint import AT
from tests.pki.pool.material import EMAID, PCID, TESTER, Car, Shop, open_shop


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(PKIError) as caught:
        yield
    assert caught.value.code == code


def wish(car: Car, emaid: str = EMAID, **changed: object) -> ContractWish:
    values: dict[str, object] = {
        "generation": car.chain.generation,
        "emaid": emaid,
        "pcid": car.pcid,
        "begins": AT,
        "ends": AT + timedelta(days=300),
    }
    return ContractWish(**{**values, **changed})  # type: ignore[arg-type]  # a test's own table of values


def held(shop: Shop, der: bytes) -> Held:
    with shop.registry.reading() as connection:
        found = find_by_hash(connection, bytes.fromhex(parse_certificate(der).sha256))
    assert found is not None
    return found


def revoke_now(shop: Shop, der: bytes) -> None:
    revoke(shop.registry, held(shop, der), Reason.KEY_COMPROMISE, TESTER)
    refresh(shop.registry, TESTER)


# --- cars


def test_a_car_is_stored_and_found_by_both_spellings_of_its_pcid(shop: Shop) -> None:
    car, maker = shop.car("WVWABCDEFGH123456X"), shop.maker()
    put_vehicle(shop.pools, car.chain, maker)
    for text in ("WVWABCDEFGH123456", "wvwabcdefgh123456x"):
        assert get_vehicle(shop.pools, text).leaf.der == car.chain.leaf
    assert not has_vehicle(shop.pools, "WVWABCDEFGH123456Y")
    with refused("vehicle-unknown"):
        get_vehicle(shop.pools, "WVWABCDEFGH123456Y")
    with refused("pcid-format"):
        get_vehicle(shop.pools, "short")


def test_the_first_fault_of_four_is_the_answer(shop: Shop) -> None:
    """A car that breaks every check is refused by the first; put right one after the other, by each in turn."""
    car, stranger = shop.car(days=30), shop.client("stranger", Role.OEM, wmis=("1HG",))
    maker = shop.maker()
    oem_root = next(
        root for root in list_roots(shop.pools, AnchorRole.OEM) if "20" not in str(root.certificate.parsed.subject)
    )
    remove_root(shop.pools, oem_root.id, TESTER)
    revoke_now(shop, car.chain.leaf)
    shop.clock.move(days=31)
    with refused("wmi"):
        put_vehicle(shop.pools, car.chain, stranger)
    with refused("expired"):
        put_vehicle(shop.pools, car.chain, maker)
    shop.clock.move(days=-1, hours=-1)
    refresh(shop.registry, TESTER)
    with refused("revoked"):
        put_vehicle(shop.pools, car.chain, maker)
    fresh = shop.car()
    with refused("anchor-unknown"):
        put_vehicle(shop.pools, fresh.chain, maker)
    put_root(shop.pools, oem_root.certificate.der, AnchorRole.OEM, TESTER)
    put_vehicle(shop.pools, fresh.chain, maker)


def test_without_evidence_a_car_is_refused_unless_the_operator_does_not_ask_for_it(state: Path) -> None:
    for asked in (True, False):
        shop = open_shop(state, PoolSettings(require_revocation=asked))
        with shop.registry, shop.pools:
            car = shop.car(f"WVWABCDEFGH12345{int(asked)}")
            maker = shop.client(f"maker-{asked}", Role.OEM, wmis=("WVW",))
            with shop.registry.writing() as connection:
                connection.execute("DELETE FROM list")
            if asked:
                with refused("revocation-unknown"):
                    put_vehicle(shop.pools, car.chain, maker)
            else:
                put_vehicle(shop.pools, car.chain, maker)


def test_a_sub_ca_in_the_wrong_place_or_no_certificate_at_all_is_refused(shop: Shop) -> None:
    car, maker = shop.car(), shop.maker()
    chain = car.chain
    turned = VehicleChain(generation=chain.generation, leaf=chain.leaf, sub2=chain.sub2, sub1=chain.sub2 or b"")
    with refused("duplicate"):
        put_vehicle(shop.pools, turned, maker)
    broken = VehicleChain(generation=chain.generation, leaf=chain.leaf, sub2=chain.sub2, sub1=chain.sub1[:-1])
    with refused("malformed-certificate"):
        put_vehicle(shop.pools, broken, maker)
    assert not has_vehicle(shop.pools, PCID)


def test_what_is_delivered_is_verified_again(shop: Shop) -> None:
    car, maker = shop.car(), shop.maker()
    put_vehicle(shop.pools, car.chain, maker)
    revoke_now(shop, car.chain.leaf)
    with pytest.raises(PoolRefused, match="revoked") as caught:
        get_vehicle(shop.pools, PCID)
    assert caught.value.code == "vehicle-unusable"
    assert has_vehicle(shop.pools, PCID), "a question deletes nothing"


def test_a_new_key_deletes_the_contracts_and_the_same_key_keeps_them(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    made = generate_contract(shop.pools, wish(car), operator)
    put_vehicle(shop.pools, car.chain, maker)
    (contract,) = find_contracts(shop.pools, pcid=PCID)
    assert contract.signed == made.signed
    put_vehicle(shop.pools, shop.car().chain, maker)
    assert find_contracts(shop.pools, pcid=PCID) == []
    assert held(shop, contract.chain[0]).revoked_at is not None


def test_deleting_a_car_deletes_and_revokes_its_contracts(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    generate_contract(shop.pools, wish(car, "DEABC00000000A"), operator)
    contracts = find_contracts(shop.pools)
    assert delete_vehicle(shop.pools, PCID, TESTER) == 2
    assert find_contracts(shop.pools) == []
    assert all(held(shop, contract.chain[0]).revoked_at for contract in contracts)
    with refused("vehicle-unknown"):
        delete_vehicle(shop.pools, PCID, TESTER)


# --- roots


def test_a_root_that_goes_takes_nothing_with_it_and_is_told(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    number = last_change(shop.pools)
    root = next(
        root for root in list_roots(shop.pools, AnchorRole.OEM) if root.certificate.key_kind.value == "secp256r1"
    )
    remove_root(shop.pools, root.id, TESTER)
    with refused("vehicle-unusable"):
        get_vehicle(shop.pools, PCID)
    assert purge(shop.pools, TESTER).vehicles == 0
    assert len(find_contracts(shop.pools)) == 1
    put_root(shop.pools, root.certificate.der, AnchorRole.OEM, TESTER)
    assert get_vehicle(shop.pools, PCID).pcid == PCID
    told = [(entry.change, entry.root.certificate) for entry in changes_after(shop.pools, number)]
    assert told == [(Change.REVOKED, root.certificate), (Change.ADDED, root.certificate)]


def test_own_roots_are_listed_once_and_stay_out_when_taken_out(state: Path) -> None:
    shop = open_shop(state)
    with shop.registry, shop.pools:
        assert len(list_roots(shop.pools)) == 6
        remove_root(shop.pools, list_roots(shop.pools)[0].id, TESTER)
    again = open_shop(state)
    with again.registry, again.pools:
        assert len(list_roots(again.pools)) == 5


def test_two_administrators_must_put_a_root(state: Path) -> None:
    shop = open_shop(state, PoolSettings(two_persons=True))
    with shop.registry, shop.pools:
        root = list_roots(shop.pools, AnchorRole.V2G)[0]
        remove_root(shop.pools, root.id, TESTER)
        der, one, two = root.certificate.der, Actor(who="one", why="-"), Actor(who="two", why="-")
        assert put_root(shop.pools, der, AnchorRole.V2G, one) is None
        with refused("second-person"):
            put_root(shop.pools, der, AnchorRole.V2G, one)
        assert put_root(shop.pools, der, AnchorRole.MO, two) is None, "for another role it is another root"
        assert put_root(shop.pools, der, AnchorRole.V2G, two) is not None


def test_what_is_no_root_is_not_listed(shop: Shop) -> None:
    car = shop.car()
    with refused("root-certificate"):
        put_root(shop.pools, car.chain.leaf, AnchorRole.OEM, TESTER)
    with refused("root-certificate"):
        put_root(shop.pools, car.chain.sub1, AnchorRole.OEM, TESTER)
    with refused("malformed-certificate"):
        put_root(shop.pools, b"\x30\x03abc", AnchorRole.OEM, TESTER)
    with refused("root-type"):
        put_root(shop.pools, list_roots(shop.pools)[0].certificate.der, AnchorRole.BACKEND, TESTER)
    shop.clock.move(days=4000)
    with refused("expired"):
        put_root(shop.pools, list_roots(shop.pools)[0].certificate.der, AnchorRole.PE, TESTER)
    assert purge(shop.pools, TESTER).roots == 6
    assert {entry.change for entry in changes_after(shop.pools, 6)} == {Change.EXPIRED}


def test_the_signed_list_is_what_the_pool_holds(shop: Shop) -> None:
    backend = next(entry.certificate for entry in shop.registry.authorities().values() if entry.name == "backend-root")
    trust = TrustStore({AnchorRole.BACKEND: [backend]})
    first = verify_trust_list(TrustLists(shop.pools).current(), trust=trust, at=AT, floor_version=0)
    assert {root.certificate.sha256 for root in first.roots} == {
        root.certificate.sha256 for root in list_roots(shop.pools)
    }
    assert all(uri.endswith(".crl") for uri in first.crls)
    assert first.crls
    remove_root(shop.pools, list_roots(shop.pools)[0].id, TESTER)
    second = verify_trust_list(TrustLists(shop.pools).current(), trust=trust, at=AT, floor_version=first.version + 1)
    assert len(second.roots) == len(first.roots) - 1


def test_a_list_is_signed_again_when_something_changes_or_a_quarter_of_its_life_is_over(shop: Shop) -> None:
    lists = TrustLists(shop.pools)
    first = lists.current()
    shop.clock.move(hours=5, minutes=59)
    assert lists.current() == first
    shop.clock.move(minutes=1)
    second = lists.current()
    assert second != first
    remove_root(shop.pools, list_roots(shop.pools)[0].id, TESTER)
    assert lists.current() != second


# --- contracts


@pytest.mark.parametrize("generation", [Generation.ISO_2, Generation.ISO_20])
def test_a_generated_contract_opens_in_its_car_and_nowhere_else(shop: Shop, generation: Generation) -> None:
    pcid = "WVWABCDEFGH1234567" if generation is Generation.ISO_20 else PCID
    car, maker, operator = shop.car(pcid, generation), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    made = generate_contract(shop.pools, wish(car), operator)
    bundle = parse_bundle(made.signed)
    opened = open_bundle(bundle, car.sealing_key, pcid=pcid, trust=shop.pools.trust(), at=AT)
    assert opened.emaid.normal == EMAID
    assert opened.private_key.public_key() == opened.contract.public_key
    other = shop.car("WVWABCDEFGH9999999", generation)
    with pytest.raises(BundleRejected):
        open_bundle(bundle, other.sealing_key, pcid=pcid, trust=shop.pools.trust(), at=AT)


def test_the_first_contract_is_preferred_and_no_other_takes_its_place(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    names = (EMAID, "DEABC00000000A", "DEABC00000000B")
    for name in names:
        generate_contract(shop.pools, wish(car, name), operator)
    assert [(entry.emaid, entry.preferred) for entry in find_contracts(shop.pools)] == [
        (EMAID, True),
        (names[1], False),
        (names[2], False),
    ]
    prefer_contract(shop.pools, PCID, names[1], TESTER)
    generate_contract(shop.pools, wish(car, names[1]), operator)
    assert [entry.emaid for entry in find_contracts(shop.pools) if entry.preferred] == [names[1]], "an update keeps it"
    delete_contract(shop.pools, names[1], TESTER)
    generate_contract(shop.pools, wish(car, "DEABC00000000C"), operator)
    assert not any(entry.preferred for entry in find_contracts(shop.pools))
    with refused("contract-unknown"):
        prefer_contract(shop.pools, PCID, names[1], TESTER)


def test_a_contract_that_is_replaced_is_revoked_and_one_that_is_stored_again_is_not(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    (first,) = find_contracts(shop.pools)
    second = generate_contract(shop.pools, wish(car), operator)
    (stored,) = find_contracts(shop.pools)
    assert (held(shop, first.chain[0]).reason, held(shop, stored.chain[0]).reason) == ("superseded", None)
    service = shop.client("service", Role.CPS, providers=("DEABC",))
    store_signed(shop.pools, second.signed, Generation.ISO_2, EMAID, PCID, None, service)
    assert held(shop, stored.chain[0]).revoked_at is None
    with refused("revoked"):
        store_signed(shop.pools, first.signed, Generation.ISO_2, EMAID, PCID, None, service)
    delete_contract(shop.pools, EMAID, TESTER)
    assert held(shop, stored.chain[0]).reason == "cessationOfOperation"


def test_a_contract_whose_former_one_cannot_be_revoked_does_not_replace_it(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    before = find_contracts(shop.pools)
    with shop.registry.writing() as connection:
        connection.execute(
            "CREATE TRIGGER stuck BEFORE UPDATE OF revoked_at ON certificate WHEN old.profile LIKE '%-contract' "
            "BEGIN SELECT raise(ABORT, 'stuck'); END"
        )
    with refused("state-unusable"):
        generate_contract(shop.pools, wish(car), operator)
    assert find_contracts(shop.pools) == before


def test_revocation_may_be_skipped_and_foreign_contracts_are_not_ours_to_revoke(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    (contract,) = find_contracts(shop.pools)
    assert delete_contract(shop.pools, "de-abc-000000009", TESTER, skip_revocation=True) == 1
    assert held(shop, contract.chain[0]).revoked_at is None
    with refused("contract-unknown"):
        delete_contract(shop.pools, EMAID, TESTER)


def test_nobody_signs_for_another_operator_or_beyond_its_bounds(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    other = shop.client("other", Role.MO, providers=("FRXYZ",))
    issued = count_issued(shop)
    cases: list[tuple[str, ContractWish, Client]] = [
        ("provider", wish(car), other),
        ("emaid-format", wish(car, "DE"), operator),
        ("validity", wish(car, ends=AT + timedelta(days=731)), operator),
        ("validity", wish(car, ends=AT - timedelta(days=1)), operator),
        ("validity", wish(car, begins=AT + timedelta(days=9)), operator),
        ("namespace", wish(car, generation=Generation.ISO_20), operator),
        ("cps-root", wish(car, cps_root="ab" * 32), operator),
        ("vehicle-unknown", wish(car, pcid="WVWABCDEFGH000000"), operator),
        ("emaid-check-character", wish(car, EMAID + "0"), operator),
    ]
    for code, asked, client in cases:
        with refused(code):
            generate_contract(shop.pools, asked, client)
    assert count_issued(shop) == issued
    assert find_contracts(shop.pools) == []


def count_issued(shop: Shop) -> int:
    with shop.registry.reading() as connection:
        row = connection.execute("SELECT count(*) FROM certificate WHERE profile LIKE '%contract'").fetchone()
    return int(row[0])


def test_a_revoked_or_expired_contract_leaves_the_pool(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    generate_contract(shop.pools, wish(car), operator)
    generate_contract(shop.pools, wish(car, "DEABC00000000A", ends=AT + timedelta(days=30)), operator)
    assert purge(shop.pools, TESTER).contracts == 0
    revoke_now(shop, find_contracts(shop.pools, emaid=EMAID)[0].chain[0])
    assert purge(shop.pools, TESTER).contracts == 1
    shop.clock.move(days=31)
    refresh(shop.registry, TESTER)
    assert purge(shop.pools, TESTER).contracts == 1
    shop.clock.move(days=1500)
    assert purge(shop.pools, TESTER).vehicles == 1


def test_a_foreign_service_stores_what_it_signed_and_what_is_opaque(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    service = shop.client("service", Role.CPS, providers=("DEABC", "FRXYZ"))
    put_vehicle(shop.pools, car.chain, maker)
    signed = generate_contract(shop.pools, wish(car), operator).signed
    delete_contract(shop.pools, EMAID, TESTER, skip_revocation=True)
    store_signed(shop.pools, signed, Generation.ISO_2, EMAID, PCID, None, service)
    (contract,) = find_contracts(shop.pools)
    assert contract.chain[0] == parse_bundle(signed).data.contract_chain[0]
    with refused("emaid-mismatch"):
        store_signed(shop.pools, signed, Generation.ISO_2, "DEABC00000000A", PCID, None, service)
    with refused("namespace"):
        store_signed(shop.pools, signed, Generation.ISO_20, EMAID, PCID, None, service)
    altered = signed.replace(b'"emaid":"DEABC000000009"', b'"emaid":"de-abc-000000009"')
    assert altered != signed
    with refused("bundle-signature"):
        store_signed(shop.pools, altered, Generation.ISO_2, EMAID, PCID, None, service)
    with refused("bundle-format"):
        store_signed(shop.pools, signed[:-1], Generation.ISO_2, EMAID, PCID, None, service)
    store_signed(shop.pools, b"\x80\x98\x00opaque", Generation.ISO_2, "FRXYZ00000000A", PCID, None, service)
    opaque = find_contracts(shop.pools, emaid="FRXYZ00000000A")[0]
    assert (opaque.signed, opaque.chain, opaque.preferred) == (b"\x80\x98\x00opaque", (), False)
    with refused("vehicle-unknown"):
        store_signed(shop.pools, b"\x80", Generation.ISO_2, EMAID, "WVWABCDEFGH000000", None, service)


def test_opaque_data_replaces_nothing_that_was_read_and_nothing_of_others(shop: Shop) -> None:
    car, maker, operator = shop.car(), shop.maker(), shop.operator()
    put_vehicle(shop.pools, car.chain, maker)
    service = shop.client("service", Role.CPS, providers=("DEABC",))
    other = shop.client("other", Role.CPS, providers=("DEABC",))
    stranger = shop.client("stranger", Role.CPS, providers=("FRXYZ",))

    def store(signed: bytes, client: Client, emaid: str = EMAID) -> None:
        store_signed(shop.pools, signed, Generation.ISO_2, emaid, PCID, None, client)

    signed = generate_contract(shop.pools, wish(car), operator).signed
    (made,) = find_contracts(shop.pools)
    for client, code in ((stranger, "provider"), (service, "contract-held")):
        with refused(code):
            store(b"\x80opaque", client)
    with refused("provider"):
        store(signed, stranger)
    assert find_contracts(shop.pools) == [made]
    assert held(shop, made.chain[0]).revoked_at is None
    store(signed, service)
    with refused("contract-held"):
        store(b"\x80opaque", service)
    second = "DEABC00000000A"
    store(b"\x80first", service, second)
    with refused("contract-held"):
        store(b"\x80second", other, second)
    store(b"\x80third", service, second)
    assert find_contracts(shop.pools, emaid=second)[0].signed == b"\x80third"
    assert delete_vehicle(shop.pools, PCID, TESTER) == 2
    assert held(shop, made.chain[0]).revoked_at is not None


# --- clients


def test_a_client_needs_what_its_role_needs(shop: Shop) -> None:
    cases: list[tuple[str, tuple[str, list[Role], list[str], list[str]]]] = [
        ("client-name", ("a b", [Role.CPO], [], [])),
        ("client-roles", ("a", [], [], [])),
        ("client-provider", ("a", [Role.MO], [], [])),
        ("client-provider", ("a", [Role.MO], ["D1ABC"], [])),
        ("client-provider", ("a", [Role.CPS], [], [])),
        ("client-wmi", ("a", [Role.OEM], [], [])),
        ("client-wmi", ("a", [Role.OEM], [], ["WVWX"])),
    ]
    for code, (name, roles, providers, wmis) in cases:
        with refused(code):
            add_client(shop.pools, name, roles, providers, wmis, TESTER)
    shop.maker()
    with refused("client-exists"):
        add_client(shop.pools, "maker", [Role.CPO], [], [], TESTER)
    assert [client.id for client in list_clients(shop.pools)] == ["maker"]


def test_a_token_counts_for_a_day_and_only_while_its_client_is_there(shop: Shop) -> None:
    shop.maker()
    token = issue_token(shop.pools, "maker", shop.secrets["maker"], "-").access_token
    assert read_token(shop.pools, token).id == "maker"
    for spoilt in (token[:-2], token + "x", "a.b.c", "", token.replace(".", "", 1), "x" * 5000, "\N{SNOWMAN}.b.c"):
        with refused("token"):
            read_token(shop.pools, spoilt)
    shop.clock.move(hours=24)
    with refused("token"):
        read_token(shop.pools, token)
    shop.clock.move(hours=-1)
    assert read_token(shop.pools, token).id == "maker"
    delete_client(shop.pools, "maker", TESTER)
    with refused("token"):
        read_token(shop.pools, token)
    shop.maker()
    with refused("token"):
        read_token(shop.pools, token)


def test_a_secret_is_stored_as_its_hash_and_replaced_by_the_next(shop: Shop, state: Path) -> None:
    shop.maker()
    old = shop.secrets["maker"]
    new = renew_secret(shop.pools, "maker", TESTER)
    issue_token(shop.pools, "maker", new, "-")
    for name, secret in (("maker", old), ("maker", ""), ("nobody", new)):
        with refused("client-secret"):
            issue_token(shop.pools, name, secret, "-")
    with refused("client-unknown"):
        renew_secret(shop.pools, "nobody", TESTER)
    with refused("client-unknown"):
        delete_client(shop.pools, "nobody", TESTER)
    written = b"".join(path.read_bytes() for path in state.glob("pools.db*"))
    assert new.encode() not in written
    assert old.encode() not in written


def test_every_act_is_in_the_audit_log_which_is_chained(shop: Shop) -> None:
    car, maker = shop.car(), shop.maker()
    put_vehicle(shop.pools, car.chain, maker)
    delete_vehicle(shop.pools, PCID, TESTER)
    with shop.pools.reading() as connection:
        acts = [entry.act for entry in read_entries(connection)]
        assert first_broken(connection) is None
    assert acts[-3:] == ["client-added", "vehicle-stored", "vehicle-deleted"]


def test_names_fit_when_their_check_characters_do_not_differ() -> None:
    assert vehicle_id("WVWABCDEFGH123456X").fits("WVWABCDEFGH123456")
    assert vehicle_id("WVWABCDEFGH123456").fits("WVWABCDEFGH123456X")
    assert not vehicle_id("WVWABCDEFGH123456Y").fits("WVWABCDEFGH123456X")


# --- signers


def test_a_provisioning_service_is_renewed_in_time_and_replaced_when_revoked(shop: Shop) -> None:
    first = shop.pools.own.contract_signer(Generation.ISO_2, TESTER)
    assert first is not None
    shop.clock.move(days=59)
    again = shop.pools.own.contract_signer(Generation.ISO_2, TESTER)
    assert again is not None
    assert again.chain == first.chain
    shop.clock.move(days=2)
    second = shop.pools.own.contract_signer(Generation.ISO_2, TESTER)
    assert second is not None
    assert second.key.public_key() != first.key.public_key()
    revoke_now(shop, second.chain[0])
    third = shop.pools.own.contract_signer(Generation.ISO_2, TESTER)
    assert third is not None
    assert third.chain[0] not in (first.chain[0], second.chain[0])


def test_the_signer_of_root_lists_is_renewed_in_time(shop: Shop) -> None:
    first = shop.pools.own.list_signer()
    shop.clock.move(days=300)
    second = shop.pools.own.list_signer()
    assert second.key.public_key() != first.key.public_key()
    assert shop.pools.own.list_signer().chain == second.chain


def test_a_signer_whose_key_is_gone_is_replaced(state: Path) -> None:
    shop = open_shop(state)
    with shop.registry, shop.pools:
        first = shop.pools.own.list_signer()
    for key in (state / "keys").glob("trust-list-signer*"):
        key.rename(key.with_suffix(".away"))
    shop = open_shop(state)
    with shop.registry, shop.pools:
        assert shop.pools.own.list_signer().key.public_key() != first.key.public_key()
