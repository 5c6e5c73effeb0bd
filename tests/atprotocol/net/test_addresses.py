"""Which addresses and URLs a stranger may make us ask."""

import pytest

from atprotocol.errors import ForbiddenAddress
from atprotocol.net.addresses import Policy, is_public_address


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_a_global_unicast_address_is_public(text: str) -> None:
    assert is_public_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
        ),
        *("192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "2606:4700::1111%eth0",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
        ),
        # IPv4 in IPv6: mapped, compatible, translated (NAT64 and its local form), 6to4 and Teredo.
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:1.1.1.1", "::127.0.0.1"),
        *(
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:7f00:1::",
        ),
        # Spellings that some libraries read as 127.0.0.1.
        *("2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "017700000001", "127.0.0.1.", "127.0.0.01"),
        *("", "localhost", "example.com", "１２７.0.0.1"),
    ],
)
def test_everything_else_is_not(text: str) -> None:
    assert not is_public_address(text)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:443/path?q=1", "https://1.1.1.1/", "https://[2606:4700::1111]/"]
)
def test_a_public_url_may_be_asked(url: str) -> None:
    target = Policy().check(url)
    assert (target.port, target.secure, target.opened) == (443, True, False)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ),
        *(
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.1",
            "017700000001",
            "127.0.0.1.",
            "①②⑦.0.0.1",
            "0x",
        ),
        *(
            "[fe80::1%25eth0]",
            "ex%61mple.com",
            "a..b",
            "-a.com",
            "a_.-.com",
            "a" * 64 + ".com",
            ".".join(["a" * 60] * 5),
            "*.com",
        ),
    ],
)
def test_a_url_with_such_a_host_may_not(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        Policy(allow_http=True).check(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "wss://example.com/",
        ),
        *(
            "//example.com/",
            "example.com",
            "",
            "https://",
            "https:///x",
            "https://example.com:22/",
            "https://example.com:0/",
        ),
        *(
            "https://example.com:99999/",
            "https://user@example.com/",
            "https://user:word@example.com/",
            "https://:word@example.com/",
        ),
        *(
            "https://example.com\\@127.0.0.1/",
            "https://exam\nple.com/",
            "https://example.com/\r\nHost: x",
            "https://ex ample.com/",
        ),
        "https://example.com/" + "a" * 9000,
    ],
)
def test_another_scheme_port_or_user_information_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        Policy().check(url)


def test_http_is_refused_unless_allowed() -> None:
    assert Policy(allow_http=True).check("http://example.com/").port == 80
    with pytest.raises(ForbiddenAddress):
        Policy().check("http://example.com/")


def test_an_allowed_pair_opens_itself_and_nothing_wider() -> None:
    policy = Policy(allowed=frozenset((("localhost", 2583),)))
    assert policy.check("http://localhost:2583/x").opened
    for url in (
        "http://localhost:2584/",
        "http://localhost/",
        "http://127.0.0.1:2583/",
        "http://sub.localhost:2583/",
        "http://u@localhost:2583/",
    ):
        with pytest.raises(ForbiddenAddress):
            policy.check(url)
