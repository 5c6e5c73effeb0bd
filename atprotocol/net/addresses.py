"""Which URLs and addresses a stranger may make us ask: public ones, on the web's ports. Pure.

Everything is refused that the registries do not call global unicast, in whatever spelling, and behind
whatever translation (IPv4-mapped, NAT64, 6to4, Teredo). Tests and demonstrations open single pairs of
host and port, nothing wider. Sources: https://www.iana.org/assignments/iana-ipv4-special-registry/ and
https://www.iana.org/assignments/iana-ipv6-special-registry/
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from atprotocol.errors import ForbiddenAddress

WEB_PORTS = frozenset((80, 443))
_MAX_URL_LENGTH = 8192
_HOST_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SECURE = {"http": False, "https": True, "ws": False, "wss": True}

_FORBIDDEN_V4 = [
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
_GLOBAL_V6 = IPv6Network("2000::/3")
_FORBIDDEN_V6 = [IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public_address(text: str) -> bool:
    """Return whether a text is an IP address in its usual spelling, and global unicast."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _NAT64:
            # Where only IPv6 is routed, every IPv4 host has such an address: it is as public as that host.
            return _is_public_v4(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_V6 and not any(address in network for network in _FORBIDDEN_V6)
    return _is_public_v4(address)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _FORBIDDEN_V4)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked. `opened`: its host and port are on the allow-list, so its address is not judged."""

    url: URL
    host: str
    port: int
    secure: bool
    opened: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be asked: public addresses, and the pairs of host and port in `allowed`.

    `allow_http` admits public hosts without TLS; allowed pairs always may go without. `is_public` and
    `public_ports` are for tests of the judgement itself.
    """

    allowed: frozenset[tuple[str, int]] = frozenset()
    allow_http: bool = False
    is_public: Callable[[str], bool] = is_public_address
    public_ports: frozenset[int] = WEB_PORTS

    def check(self, url: URL | str, schemes: tuple[str, ...] = ("https", "http")) -> Target:
        """Return where a URL leads, if it may be asked; a host name is judged again when it is connected to.

        Raises ForbiddenAddress.
        """
        parsed = _parse(url)
        host, port = parsed.raw_host, parsed.port
        if parsed.scheme not in schemes:
            raise ForbiddenAddress(f"the scheme of {_shown(parsed)} is not {' or '.join(schemes)}")
        if not host or not port:
            raise ForbiddenAddress(f"no host or no port in {_shown(parsed)}")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise ForbiddenAddress(f"user information in the URL of {host}")
        secure = _SECURE[parsed.scheme]
        if (host, port) in self.allowed:
            return Target(parsed, host, port, secure, opened=True)
        if not secure and not self.allow_http:
            raise ForbiddenAddress(f"{_shown(parsed)} is without TLS")
        if port not in self.public_ports:
            raise ForbiddenAddress(f"port {port} of {host} is none of the web's")
        self._check_host(host)
        return Target(parsed, host, port, secure, opened=False)

    def _check_host(self, host: str) -> None:
        # Decimal, octal and hexadecimal spellings of addresses are refused with all other names that end in a number.
        if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
            if not self.is_public(host):
                raise ForbiddenAddress(f"{host[:80]} is no public address")
        elif len(host) > 253 or _HOST_NAME.fullmatch(host) is None:
            raise ForbiddenAddress(f"not the name of a host: {host[:80]!r}")


def _parse(url: URL | str) -> URL:
    if isinstance(url, URL):
        return url
    if len(url) > _MAX_URL_LENGTH or not url.isprintable() or " " in url:
        raise ForbiddenAddress(f"not a URL: {url[:80]!r}")
    try:
        return URL(url)
    except ValueError as error:
        raise ForbiddenAddress(f"not a URL: {url[:80]!r}") from error


def _shown(url: URL) -> str:
    return str(url.with_user(None) if url.raw_host else url)[:80]
