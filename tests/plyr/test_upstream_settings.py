"""Upstreams that would share one cursor."""

import pytest

from plyr.outcome import CommandError
from plyr.settings import read_settings


@pytest.mark.parametrize(
    "other", ["https://Relay.example.com", "http://relay.example.com", "https://relay.example.com/other"]
)
def test_two_upstreams_at_one_host_are_refused_as_they_would_move_one_cursor(other: str) -> None:
    with pytest.raises(CommandError, match="one host"):
        read_settings(relay=["https://relay.example.com", other], environment={})


def test_the_same_upstream_twice_is_one() -> None:
    settings = read_settings(relay=["wss://relay.example.com", "https://relay.example.com/"], environment={})
    assert settings.relay_urls == ("https://relay.example.com",)
