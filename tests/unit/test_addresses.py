"""Public addresses may be reached, all others only if the operator says so."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.addresses import Allowed, special, unwrapped

PUBLIC = ["1.1.1.1", "93.184.216.34", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::200e"]

SPECIAL = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "100.64.0.1": "shared",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.8": "reserved",
    "192.0.2.1": "documentation",
    "192.88.99.1": "tunnel",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::10.0.0.1": "reserved",
    "100::1": "reserved",
    "2001::1": "tunnel",
    "2001:2::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "tunnel",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "private",
    "ff02::1": "multicast",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_none_of_the_special_ones(address):
    assert special(ip_address(address)) is None


@pytest.mark.parametrize("address", SPECIAL)
def test_an_address_that_is_not_public_is_named(address):
    assert special(ip_address(address)) == SPECIAL[address]


def test_an_address_behind_nat64_is_as_public_as_the_one_that_is_meant():
    assert special(ip_address("64:ff9b::1.1.1.1")) is None


@given(st.one_of(st.ip_addresses(), st.ip_addresses(network="2001::/16")))
def test_what_python_takes_for_special_is_never_public(address):
    meant = unwrapped(address)
    if (
        meant.is_private
        or meant.is_multicast
        or meant.is_reserved
        or meant.is_link_local
        or meant.is_unspecified
    ):
        assert special(address) is not None


@pytest.mark.parametrize(
    ("entry", "host", "port", "address"),
    [
        ("localhost", "localhost", 80, "127.0.0.1"),
        ("LocalHost.", "localhost", 80, "::1"),
        ("localhost:8080", "localhost.", 8080, "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", 80, "127.0.0.1"),
        ("127.0.0.1:81", "any.test", 81, "127.0.0.1"),
        ("127.0.0.1", "any.test", 80, "::ffff:127.0.0.1"),
        ("10.0.0.0/8", "any.test", 80, "10.1.2.3"),
        ("10.0.0.0/8:80", "any.test", 80, "10.1.2.3"),
        ("::1", "any.test", 80, "::1"),
        ("[::1]", "any.test", 80, "::1"),
        ("[::1]:80", "any.test", 80, "::1"),
        ("fd00::/8", "any.test", 80, "fd00::1"),
        ("0.0.0.0/0", "any.test", 80, "169.254.169.254"),
    ],
)
def test_the_operator_allows_names_addresses_and_networks(entry, host, port, address):
    assert Allowed.parse([]).refusal(host, port, address) is not None
    assert Allowed.parse(["other.test", f" {entry} "]).refusal(host, port, address) is None


@pytest.mark.parametrize(
    ("entry", "host", "port", "address"),
    [
        ("localhost:8080", "localhost", 8081, "127.0.0.1"),
        ("localhost", "my.localhost", 80, "127.0.0.1"),
        ("localhost", "localhost.evil.test", 80, "127.0.0.1"),
        ("127.0.0.1:81", "any.test", 80, "127.0.0.1"),
        ("127.0.0.1", "any.test", 80, "127.0.0.2"),
        ("10.0.0.0/8:80", "any.test", 81, "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1", 80, "::1"),
        ("[::1]:80", "any.test", 81, "::1"),
        ("0.0.0.0/0", "any.test", 80, "fd00::1"),
    ],
)
def test_what_is_allowed_goes_no_further_than_it_says(entry, host, port, address):
    assert Allowed.parse([entry]).refusal(host, port, address) is not None


def test_a_public_address_needs_no_permission():
    assert Allowed.parse([]).refusal("any.test", 80, "1.1.1.1") is None


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "*.test",
        "",
        ":80",
        "a:0",
        "a:65536",
        "a:b",
        "10.0.0.1/8",
        "a/b",
        "http://a",
        "[x]",
        "-",
    ],
)
def test_an_entry_that_is_nothing_of_the_kind_is_refused(entry):
    with pytest.raises(ValueError, match=r".+"):
        Allowed.parse([entry])
