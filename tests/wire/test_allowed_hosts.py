"""Which hosts and addresses may be asked: the list of the configuration, and nothing that leads around it."""

from __future__ import annotations

import pytest

from wire.allowed_hosts import AllowedHosts, HostRefused

HOSTS = AllowedHosts(["pki.example", "Crl.Example:8081", "[2001:db8::5]:80", "10.1.2.3:8080"], ["10.9.0.0/16"])


@pytest.mark.parametrize(
    "url",
    [
        "http://pki.example/crls/a.crl",
        "https://pki.example/x?y=1",
        "https://PKI.example:443/x",
        "http://crl.example:8081/a",
        "http://[2001:db8::5]/a",
        "http://10.1.2.3:8080/a",
    ],
)
def test_named_hosts_are_asked_at_their_ports(url: str) -> None:
    assert HOSTS.allows(url)
    assert HOSTS.url(url).scheme in ("http", "https")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://other.example/", "host-not-allowed"),
        ("http://pki.example.evil/", "host-not-allowed"),
        ("http://pki.example:22/", "host-not-allowed"),
        ("http://crl.example/", "host-not-allowed"),
        ("http://127.0.0.1/", "host-not-allowed"),
        ("http://localhost/", "host-not-allowed"),
        ("http://10.1.2.3/", "host-not-allowed"),
        ("http://0x0a010203:8080/", "host-not-allowed"),
        ("http://167838211:8080/", "host-not-allowed"),
        ("http://pki.example@evil.example/", "url-malformed"),
        ("http://user:word@pki.example/", "url-malformed"),
        ("http://evil.example\\@pki.example/", "url-malformed"),
        ("http://evil.example#@pki.example/", "url-malformed"),
        ("ldap://pki.example/", "url-malformed"),
        ("file:///etc/passwd", "url-malformed"),
        ("//pki.example/x", "url-malformed"),
        ("pki.example", "url-malformed"),
        ("", "url-malformed"),
        ("http://[::1", "url-malformed"),
        ("http://pki.example:99999/", "url-malformed"),
    ],
)
def test_everything_else_is_refused(url: str, code: str) -> None:
    with pytest.raises(HostRefused) as refused:
        HOSTS.url(url)
    assert refused.value.code in {code, "host-not-allowed"}
    assert not HOSTS.allows(url)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "10.9.200.1", "10.1.2.3", "2001:db8::5"])
def test_public_and_configured_addresses_are_reached(address: str) -> None:
    assert HOSTS.reaches(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "10.1.2.4",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:93.184.216.34",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:1::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "0177.0.0.1",
        "127.1",
        "2130706433",
        "localhost",
        "",
    ],
)
def test_inner_and_carrying_addresses_are_not(address: str) -> None:
    assert not HOSTS.reaches(address)
    assert not AllowedHosts(["pki.example"]).reaches(address)


@pytest.mark.parametrize(
    ("hosts", "networks"),
    [
        (["http://pki.example"], []),
        (["pki.example/x"], []),
        (["a@pki.example"], []),
        (["pki.example:port"], []),
        (["pki.example:70000"], []),
        ([""], []),
        ([" pki.example"], []),
        (["pki.example?x"], []),
        (["[::1"], []),
        ([], ["10.0.0.1/8"]),
        ([], ["lan"]),
    ],
)
def test_entry_that_is_no_host_or_network_is_named(hosts: list[str], networks: list[str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AllowedHosts(hosts, networks)
