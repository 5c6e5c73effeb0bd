"""The operator's settings: the only place that reads the environment; everything else is handed what it needs.

A flag wins over the environment, the environment over the default. What is wrong is refused with the name of the
flag and the variable. Secrets (the database URL, tokens) are in no repr and in no message.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from atprotocol.errors import InvalidSyntax
from atprotocol.syntax.did import DID, did_method, parse_did
from atprotocol.syntax.nsid import parse_nsid
from database.connect import parse_database_url
from plyr.media_settings import MediaChoice, read_media_choice, secrets_of
from plyr.outcome import CommandError, ExitCode

DEFAULT_RELAY_URL = "https://relay1.us-east.bsky.network"
DEFAULT_PLC_URL = "https://plc.directory"
DEFAULT_NAMESPACE = "fm.plyr"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8001
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_SCHEMES = {"wss": "https", "ws": "http"}
_HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOG_LEVELS = ("debug", "info", "warning", "error")
_SHORTEST_SECRET = 4
_DID_METHODS = ("plc", "web")

HostAndPort = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator wants. `database_url` None: a Postgres of our own in the data folder.

    `allowed_hosts` are opened for a development network although they are not public, and may do without TLS;
    `handle_resolver_url` replaces DNS and HTTPS there. `hostname` is the public name, and so the service's DID.
    """

    relay_urls: tuple[str, ...] = (DEFAULT_RELAY_URL,)
    plc_url: str = DEFAULT_PLC_URL
    namespace: str = DEFAULT_NAMESPACE
    # Whose labels are indexed; nobody's unless the operator names somebody.
    labelers: tuple[DID, ...] = ()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    # Where the indexer shows its figures; None: nowhere.
    metrics_port: int | None = None
    metrics_host: str = DEFAULT_HOST
    hostname: str | None = None
    data_dir: Path | None = None
    database_url: str | None = field(default=None, repr=False)
    media: MediaChoice = field(default_factory=MediaChoice)
    allowed_hosts: frozenset[HostAndPort] = frozenset()
    handle_resolver_url: str | None = None
    trusted_proxy_hops: int = 0
    log_level: str = "info"
    logfire_token: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    home: Path = field(default_factory=Path, repr=False)
    data_home: str | None = field(default=None, repr=False)

    @property
    def is_live(self) -> bool:
        """Tell whether the public network is followed: then nothing but public addresses is ever asked."""
        return not self.allowed_hosts

    def scrub(self, text: str) -> str:
        """Return the text without any secret of these settings."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_settings(
    *,
    relay: Iterable[str] | None = None,
    labeler: Iterable[str] | None = None,
    plc: str | None = None,
    port: int | None = None,
    host: str | None = None,
    metrics_port: int | None = None,
    data_dir: Path | None = None,
    allow_host: Iterable[str] | None = None,
    mirror: str | None = None,
    log_level: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings from flags (None: not given) and the environment (None: this process's).

    Raises CommandError with the code for wrong usage.
    """
    given = os.environ if environment is None else environment

    def value(name: str, flag: str | None = None, default: str | None = None) -> str | None:
        # An empty variable is one that is not set: that is how composed deployments leave things out.
        return flag if flag is not None else given.get(name, "").strip() or default

    relays = list(relay or ()) or (value("PLYR_RELAY_URL") or DEFAULT_RELAY_URL).replace(",", " ").split()
    relay_urls = tuple(dict.fromkeys(_web_url(_url(each, "--relay", "PLYR_RELAY_URL", ws=True)) for each in relays))
    places = [(parts.hostname, parts.port) for parts in map(urlsplit, relay_urls)]
    if len(set(places)) < len(places):
        # A cursor belongs to a host: each of the two would find it moved by somebody else, and end.
        raise _wrong(f"{_named('--relay', 'PLYR_RELAY_URL')} names two upstreams at one host")
    labelers = list(labeler or ()) or (value("PLYR_LABELERS") or "").replace(",", " ").split()
    plc_url = _url(value("PLYR_PLC_URL", plc, DEFAULT_PLC_URL) or "", "--plc", "PLYR_PLC_URL")
    resolver = value("PLYR_HANDLE_RESOLVER_URL")
    wanted_dir = value("PLYR_DATA_DIR", str(data_dir) if data_dir is not None else None)
    allowed = list(allow_host or ()) or (value("PLYR_ALLOWED_HOSTS") or "").replace(",", " ").split()
    wanted_metrics = value("PLYR_METRICS_PORT", None if metrics_port is None else str(metrics_port))
    database_url, token = value("PLYR_DATABASE_URL"), value("LOGFIRE_TOKEN")
    media = read_media_choice(lambda name, default: value(name, None, default), mirror)
    return Settings(
        relay_urls=relay_urls,
        plc_url=plc_url,
        namespace=_namespace(value("PLYR_NAMESPACE", None, DEFAULT_NAMESPACE) or ""),
        labelers=tuple(dict.fromkeys(map(_labeler, labelers))),
        host=value("PLYR_HOST", host, DEFAULT_HOST) or "",
        port=_port(value("PLYR_PORT", None if port is None else str(port), str(DEFAULT_PORT)) or ""),
        metrics_port=None if wanted_metrics is None else _port(wanted_metrics, "--metrics-port (PLYR_METRICS_PORT)"),
        metrics_host=value("PLYR_METRICS_HOST", None, DEFAULT_HOST) or "",
        hostname=_hostname(value("PLYR_HOSTNAME")),
        data_dir=Path(wanted_dir).expanduser().absolute() if wanted_dir else None,
        database_url=_database_url(database_url),
        media=media,
        allowed_hosts=frozenset(_host_and_port(text) for text in allowed)
        | _own_hosts(*relay_urls, plc_url, *([resolver] if resolver else [])),
        handle_resolver_url=_url(resolver, None, "PLYR_HANDLE_RESOLVER_URL") if resolver else None,
        trusted_proxy_hops=_hops(value("PLYR_TRUSTED_PROXY_HOPS", None, "0") or ""),
        log_level=_log_level(value("PLYR_LOG_LEVEL", log_level, "info") or ""),
        logfire_token=token,
        otlp_endpoint=value("OTEL_EXPORTER_OTLP_ENDPOINT"),
        secrets=_secrets(database_url, token, value("OTEL_EXPORTER_OTLP_HEADERS"), *secrets_of(media)),
        home=Path(given.get("HOME") or "~").expanduser(),
        data_home=given.get("XDG_DATA_HOME") or None,
    )


def _wrong(message: str) -> CommandError:
    return CommandError(message, ExitCode.WRONG_USAGE)


def _named(flag: str | None, variable: str) -> str:
    return f"{flag} ({variable})" if flag else variable


def _url(text: str, flag: str | None, variable: str, *, ws: bool = False) -> str:
    """Return the URL of a service; its text is not repeated in an error, as it may hold a password."""
    schemes = ("https", "http", "wss", "ws") if ws else ("https", "http")
    where = _named(flag, variable)
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not text.isprintable() or " " in text:
        raise _wrong(f"{where} is not a URL: write {' or '.join(f'{scheme}://' for scheme in schemes[::2])}HOST[:PORT]")
    if parts.username is not None or parts.password is not None:
        raise _wrong(f"{where} holds a user or a password: leave them out, this service asks for none")
    if parts.query or parts.fragment:
        raise _wrong(f"{where} has a query or a fragment: give the origin alone")
    return text.rstrip("/")


def _web_url(url: str) -> str:
    """Return the URL under which a relay is asked; its stream is at the same place."""
    scheme, _, rest = url.partition("://")
    return f"{_WEB_SCHEMES.get(scheme, scheme)}://{rest}"


def _own_hosts(*urls: str) -> frozenset[HostAndPort]:
    """Return the host and port of those services that the operator named and that are on no public address."""
    found = set()
    for url in urls:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_local = (
            host == "localhost" or host.endswith(".localhost") or ":" in host or host.rpartition(".")[2].isdigit()
        )
        if is_local or parts.scheme == "http":
            found.add((host, parts.port or _DEFAULT_PORTS[parts.scheme]))
    return frozenset(found)


def _host_and_port(text: str) -> HostAndPort:
    host, _, port = text.rpartition(":")
    host = host.strip("[]").lower()
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or "/" in host or "@" in host:
        raise _wrong("--allow-host (PLYR_ALLOWED_HOSTS) takes HOST:PORT, as in localhost:2583")
    return host, int(port)


def _port(text: str, where: str = "--port (PLYR_PORT)") -> int:
    if not text.isdigit() or int(text) > 65535:
        raise _wrong(f"{where} is a number from 0 to 65535; 0 takes a free one")
    return int(text)


def _hops(text: str) -> int:
    if not text.isdigit() or int(text) > 20:
        raise _wrong("PLYR_TRUSTED_PROXY_HOPS is how many proxies of yours stand in front: a small number")
    return int(text)


def _namespace(text: str) -> str:
    try:
        parse_nsid(f"{text}.name")
    except InvalidSyntax as error:
        raise _wrong(f"PLYR_NAMESPACE is no namespace: write it like {DEFAULT_NAMESPACE}") from error
    return text


def _labeler(text: str) -> DID:
    try:
        did = parse_did(text)
    except InvalidSyntax:
        did = None
    if did is None or did_method(did) not in _DID_METHODS:
        raise _wrong("--labeler (PLYR_LABELERS) takes DIDs of labelers, did:plc:… or did:web:…, and no handles")
    return did


def _hostname(text: str | None) -> str | None:
    if text is not None and _HOST_NAME.fullmatch(text.lower()) is None:
        raise _wrong("PLYR_HOSTNAME is the public name alone, without https:// and port, as in appview.example.com")
    return text.lower() if text else None


def _log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise _wrong(f"--log-level (PLYR_LOG_LEVEL) is one of {', '.join(_LOG_LEVELS)}")
    return text.lower()


def _database_url(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parse_database_url(text)
        is_readable = True
    except ValueError:
        # Its message may quote a part of the password.
        is_readable = False
    if not is_readable:
        raise _wrong(
            "PLYR_DATABASE_URL is not a Postgres URL: write postgresql://USER:PASSWORD@HOST/DATABASE, "
            "with special characters of the password written as %XX"
        )
    return text


def _secrets(database_url: str | None, *others: str | None) -> tuple[str, ...]:
    found = {other for other in others if other}
    if database_url:
        found.add(database_url)
        password = urlsplit(database_url).password
        if password:
            found |= {password, unquote(password)}
    # The longest first, so that no rest of one is left; replacing very short ones would garble every line.
    return tuple(sorted((secret for secret in found if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True))
