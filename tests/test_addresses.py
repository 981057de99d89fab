"""Which addresses are public, in every form they can be written in."""

from ipaddress import ip_address

import pytest

from safelight.network.addresses import carried_addresses, is_metadata, is_public, parse_address

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "168.63.129.15",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "2606:4700::1%eth0",
]

METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "2002:a9fe:a9fe::",
    "2001:0:a9fe:a9fe::",
    "2001:0:808:808:0:0:5601:5601",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_a_host_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))
    assert not is_metadata(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_private_special_or_a_tunnel_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", METADATA)
def test_a_metadata_address_is_known_in_every_form(text: str) -> None:
    assert is_metadata(ip_address(text))
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["127.0.0.1", "10.1.2.3", "192.168.0.2", "::1", "fd12::1"])
def test_an_ordinary_private_address_is_no_metadata_address(text: str) -> None:
    assert not is_metadata(ip_address(text))


def test_teredo_carries_its_server_and_its_client() -> None:
    carried = carried_addresses(ip_address("2001:0:4136:e378:8000:63bf:3fff:fdd2"))
    assert carried == (ip_address("65.54.227.120"), ip_address("192.0.2.45"))


@pytest.mark.parametrize("text", ["", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "example.com"])
def test_only_the_usual_notation_is_an_address(text: str) -> None:
    assert parse_address(text) is None
