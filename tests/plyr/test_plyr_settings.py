"""Settings: what wins, what is refused, and that secrets stay inside."""

from pathlib import Path

import pytest

from plyr.indexing import indexer_settings
from plyr.outcome import CommandError, ExitCode
from plyr.settings import DEFAULT_PLC_URL, DEFAULT_RELAY_URL, Settings, read_settings


def test_without_anything_the_live_network_is_followed_with_a_database_of_our_own() -> None:
    settings = read_settings(environment={})
    assert (settings.relay_urls, settings.plc_url) == ((DEFAULT_RELAY_URL,), DEFAULT_PLC_URL)
    assert (settings.host, settings.port, settings.namespace) == ("127.0.0.1", 8001, "fm.plyr")
    assert settings.database_url is None
    assert settings.is_live


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    environment = {"PLYR_PORT": "9000", "PLYR_RELAY_URL": "https://one.example.com", "PLYR_DATA_DIR": "/one"}
    assert read_settings(environment=environment).port == 9000
    settings = read_settings(environment=environment, port=9001, data_dir=Path("/two"))
    assert (settings.port, settings.relay_urls, settings.data_dir) == (9001, ("https://one.example.com",), Path("/two"))


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    settings = read_settings(environment={"PLYR_PORT": "", "PLYR_DATABASE_URL": " ", "PLYR_HOSTNAME": ""})
    assert (settings.port, settings.database_url, settings.hostname) == (8001, None, None)


def test_a_relay_may_be_named_by_its_stream() -> None:
    settings = read_settings(environment={}, relay=["wss://relay.example.com/"])
    assert settings.relay_urls == ("https://relay.example.com",)
    assert settings.is_live


def test_a_relay_of_a_development_network_is_opened_and_nothing_beside_it() -> None:
    settings = read_settings(
        environment={"PLYR_ALLOWED_HOSTS": "localhost:2583, localhost:2584"},
        relay=["ws://localhost:2470"],
        plc="http://127.0.0.1:2582",
    )
    assert settings.allowed_hosts == {
        ("localhost", 2583), ("localhost", 2584), ("localhost", 2470), ("127.0.0.1", 2582)
    }  # fmt: skip
    assert not settings.is_live


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PLYR_PORT", "80a"),
        ("PLYR_PORT", "65536"),
        ("PLYR_METRICS_PORT", "metrics"),
        ("PLYR_RELAY_URL", "relay.example.com"),
        ("PLYR_RELAY_URL", "https://someone:secret@relay.example.com"),
        ("PLYR_RELAY_URL", "https://relay.example.com?token=secret"),
        ("PLYR_RELAY_URL", "https://relay.example.com:port"),
        ("PLYR_PLC_URL", "ftp://plc.example.com"),
        ("PLYR_NAMESPACE", "fm..plyr"),
        ("PLYR_HOSTNAME", "https://appview.example.com"),
        ("PLYR_ALLOWED_HOSTS", "localhost"),
        ("PLYR_DATABASE_URL", "postgresql://me:secret/word@localhost:5432/x"),
        ("PLYR_LOG_LEVEL", "loud"),
        ("PLYR_TRUSTED_PROXY_HOPS", "-1"),
        ("PLYR_LABELERS", "labeler.example.com"),
        ("PLYR_LABELERS", "did:key:zQ3shunBKsXixLxKtC5qeSG9E4J5RkGN57im31pcTzbNQnm5w"),
        ("PLYR_LABELERS", "did:web:labels.example.com did:plc:"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_without_its_secret(variable: str, text: str) -> None:
    with pytest.raises(CommandError) as raised:
        read_settings(environment={variable: text})
    assert raised.value.code is ExitCode.WRONG_USAGE
    assert variable in str(raised.value)
    assert "secret" not in str(raised.value)


def test_secrets_are_in_no_repr_and_are_struck_out_of_text() -> None:
    settings = read_settings(
        environment={"PLYR_DATABASE_URL": "postgresql://me:p%40ssword@db.example.com/x", "LOGFIRE_TOKEN": "token-1"}
    )
    assert isinstance(settings, Settings)
    assert "ssword" not in repr(settings)
    assert "token-1" not in repr(settings)
    assert settings.scrub("p@ssword p%40ssword token-1 rest") == "*** *** *** rest"


def test_figures_are_shown_nowhere_unless_asked_for_and_then_to_this_machine_alone() -> None:
    assert read_settings(environment={}).metrics_port is None
    settings = read_settings(environment={"PLYR_METRICS_PORT": "9464"})
    assert (settings.metrics_port, settings.metrics_host) == (9464, "127.0.0.1")
    assert read_settings(environment={"PLYR_METRICS_PORT": "9464"}, metrics_port=0).metrics_port == 0
    assert read_settings(environment={"PLYR_METRICS_HOST": "0.0.0.0"}).metrics_host == "0.0.0.0"


def test_nobody_labels_unless_named_and_each_once() -> None:
    assert read_settings(environment={}).labelers == ()
    plc, web = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:labels.example.com"
    named = read_settings(environment={"PLYR_LABELERS": f"{plc},{web}, {plc}"})
    assert named.labelers == (plc, web)
    assert indexer_settings(named).labelers == (plc, web)
    assert read_settings(environment={"PLYR_LABELERS": plc}, labeler=[web]).labelers == (web,)
