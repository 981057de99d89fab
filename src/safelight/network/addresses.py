"""Which internet addresses are public, and which are never to be spoken to.

Pure functions. The tables follow IANA's special-purpose registries; `ipaddress.is_global` is not used, for it
calls multicast, NAT64, 6to4, site-local and some cloud-metadata addresses global, and its answers differ
between versions of Python.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

Address = IPv4Address | IPv6Address

METADATA = (
    IPv4Network("169.254.0.0/16"),  # AWS, Google, Azure, Oracle, ECS, EKS: all of link-local
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fe80::/10"),  # OpenStack: all of link-local
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::/32"),  # Google
    IPv6Network("fd00:c1::/32"),  # Oracle
    IPv6Network("64:ff9b:1::/48"),  # local NAT64, which may carry any of the above
)
"""Where clouds answer with a machine's credentials."""

NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "168.63.129.16/32",  # Azure
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

CARRIERS = (
    (IPv6Network("::/96"), 0),  # compatible, and :: and ::1
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)
"""Networks whose addresses carry an IPv4 address, and how many bits lie to the right of it."""

TEREDO = IPv6Network("2001::/32")
REACHED_THROUGH = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""Carriers that hosts use to reach the public IPv4 internet; the others are obsolete."""


def is_public(address: Address) -> bool:
    """Whether an address is a host on the public internet, whatever form it is written in."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_4)
    if any(address in network for network in REACHED_THROUGH):
        return all(is_public(carried) for carried in carried_addresses(address))
    unicast = address in GLOBAL_UNICAST_6 and address.scope_id is None
    return unicast and not any(address in network for network in NOT_PUBLIC_6)


def is_metadata(address: Address) -> bool:
    """Whether an address, or one that it carries, may be a cloud's metadata service."""
    forms = (address, *carried_addresses(address))
    return any(form in network for form in forms for network in METADATA)


def carried_addresses(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses inside an IPv6 address: mapped, NAT64, 6to4 one, Teredo two (server and client)."""
    if isinstance(address, IPv4Address):
        return ()
    bits = int(address)
    carried = [bits >> shift for network, shift in CARRIERS if address in network]
    if address in TEREDO:
        carried += [bits >> 64, ~bits]
    return tuple(IPv4Address(part & 0xFFFF_FFFF) for part in carried)


def parse_address(text: str) -> Address | None:
    """Read an address in its usual notation, IPv6 with or without brackets; None when it is none."""
    try:
        return ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
