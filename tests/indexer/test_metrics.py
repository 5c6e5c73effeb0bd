"""Every figure of the indexer: declared once, shown with the value that the indexer has, from the beginning."""

import ast
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import world
from harness import OTHER, RELAY, TRACK, Harness, harness, publish, synchronized, track
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from indexer.instruments import EVENTS, HOSTS_LIMIT, INSTRUMENTS, OTHER_HOSTS, PREFIX, STREAM_EVENTS, Kind
from indexer.metrics import HostCounter, Metrics
from indexer.observation import families_of_a_standby

INDEXER = Path(__file__).resolve().parents[2] / "indexer"
HOW_TO = INDEXER.parent / "docs" / "how-to"


@pytest.fixture
async def indexer(database_url: str) -> AsyncIterator[Harness]:
    async with harness(database_url, world.World(21)) as made:
        yield made


class _Read(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return self.families


class Scrape:
    """What a Prometheus would read."""

    def __init__(self, families: list[Metric]) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Read(families))
        self.families = {family.name for family in families}
        self.samples = {
            (sample.name.removeprefix(PREFIX), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(generate_latest(registry).decode())
            for sample in family.samples
        }

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        return self.samples[(key,) if isinstance(key, str) else key]

    def __contains__(self, name: str) -> bool:
        return any(key[0] == name for key in self.samples)


async def scraped(indexer: Harness) -> Scrape:
    return Scrape(await indexer.observation.families())


def _named_events() -> tuple[set[str], set[str]]:
    """Return the names of events in the code, and the beginnings of those that are put together there."""
    names, beginnings = set(), set()
    for path in INDEXER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("event", "often", "note") or not node.args:
                continue
            match node.args[0]:
                case ast.Constant(value=str(name)):
                    names.add(name)
                case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]):
                    beginnings.add(beginning)
                case _:
                    raise AssertionError(f"{path}:{node.lineno}: an event without a name that can be read here")
    return names, beginnings


def test_every_event_that_is_named_is_declared_and_every_declared_one_is_named() -> None:
    names, beginnings = _named_events()
    made = {name for name in EVENTS for beginning in beginnings if name.startswith(beginning)}

    assert names - EVENTS.keys() == set()
    assert EVENTS.keys() - names - made == set()
    assert len(names) >= 25
    assert beginnings == {"indexer.audit_"}


def test_every_event_of_a_stream_says_of_which() -> None:
    for path in INDEXER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("event", "often", "note")
                and isinstance(node.args[0], ast.Constant)
                and node.args[0].value in STREAM_EVENTS
            ):
                assert "host" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"


def test_names_are_as_prometheus_wants_them() -> None:
    assert len({each.name for each in INSTRUMENTS}) == len(INSTRUMENTS)
    for each in INSTRUMENTS:
        assert each.name.startswith(PREFIX)
        assert each.name.endswith("_total") is (each.kind is Kind.COUNTER), each.name
        assert bool(each.buckets) is (each.kind is Kind.HISTOGRAM), each.name
        assert each.help.endswith("."), each.name


async def test_every_declared_metric_is_scraped_and_nothing_else(indexer: Harness) -> None:
    scrape = await scraped(indexer)

    assert scrape.families == {each.name.removesuffix("_total") for each in INSTRUMENTS}


async def test_what_never_happened_is_there_as_0_so_that_an_alert_can_see_it(indexer: Harness) -> None:
    scrape = await scraped(indexer)

    assert scrape["frames_total", "#commit"] == 0
    assert scrape["verification_failures_total", "partial-proof"] == 0
    assert scrape["desynchronized_total", "broken-chain"] == 0
    assert scrape["events_total", "indexer.fork"] == 0
    assert scrape["gaps_total", RELAY.host] == 0
    assert scrape["received_total", RELAY.host] == 0
    assert scrape["repos", "desynchronized"] == 0
    assert "audit_share_of_same" not in scrape, "nothing is said of an audit that never was"


async def test_frames_of_strangers_are_received_and_none_of_ours(indexer: Harness) -> None:
    """The ingredients of the second alert: the relay lives, and nothing of ours comes."""
    await synchronized(indexer)
    before = await scraped(indexer)
    stranger = indexer.world.account()
    indexer.feed(*(indexer.world.identity_frame(stranger) for _ in range(5)))
    unwritten = await scraped(indexer)
    await indexer.write()
    after = await scraped(indexer)

    assert unwritten["received_total", RELAY.host] - before["received_total", RELAY.host] == 5
    assert after["received_total", RELAY.host] - before["received_total", RELAY.host] == 5
    kinds = ("#commit", "#sync", "#account", "#identity")
    assert sum(after["frames_total", kind] - before["frames_total", kind] for kind in kinds) == 0
    assert after["frames_total", "#commit"] == 1


async def test_the_lag_is_of_what_the_database_covers_and_silence_tells_a_quiet_stream_from_it(
    indexer: Harness,
) -> None:
    await synchronized(indexer)
    stored_seq = indexer.world.seq
    lag = (await scraped(indexer))["lag_seconds", RELAY.host]
    indexer.clock_offset += timedelta(seconds=400)
    quiet = await scraped(indexer)
    assert quiet["lag_seconds", RELAY.host] == pytest.approx(lag + 400)
    assert quiet["last_frame_seconds", RELAY.host] == pytest.approx(400)

    indexer.feed(indexer.world.identity_frame(indexer.world.account()))
    waiting = await scraped(indexer)
    assert waiting["last_frame_seconds", RELAY.host] == 0
    assert waiting["lag_seconds", RELAY.host] >= 400, "it is not in the database yet"
    assert (waiting["cursor_seq", RELAY.host], waiting["received_seq", RELAY.host]) == (stored_seq, stored_seq + 1)

    await indexer.write()
    assert (await scraped(indexer))["cursor_seq", RELAY.host] == stored_seq + 1


async def test_a_broken_chain_is_counted_until_it_is_repaired(indexer: Harness) -> None:
    account = await synchronized(indexer)
    publish(indexer, account, ("create", OTHER, track("missed")))
    indexer.feed(publish(indexer, account, ("update", TRACK, track("Two"))))
    await indexer.write()
    indexer.clock_offset += timedelta(seconds=90)
    scrape = await scraped(indexer)
    assert scrape["verification_failures_total", "broken-chain"] == 1
    assert scrape["desynchronized_total", "broken-chain"] == 1
    assert scrape["desynchronized_repos", "broken-chain"] == 1
    assert (scrape["repos", "desynchronized"], scrape["repos", "synchronized"]) == (1, 0)
    assert scrape["oldest_desynchronized_seconds"] == pytest.approx(90)
    assert scrape["waiting_bytes"] > 0

    await indexer.settle()
    scrape = await scraped(indexer)
    assert (scrape["repos", "desynchronized"], scrape["repos", "synchronized"]) == (0, 1)
    assert scrape["oldest_desynchronized_seconds"] == 0
    assert scrape["waiting_bytes"] == 0
    assert scrape["repairs_total", "synchronized"] == 2
    assert scrape["repair_seconds_count"] == 2
    assert scrape["fetches_total", "whole"] == 2
    assert scrape["fetched_bytes_total", "whole"] > 0
    assert scrape["visible_seconds_count"] == scrape["batch_seconds_count"] == scrape["batches_total"]


async def test_a_bad_signature_is_a_failure_of_its_own(indexer: Harness) -> None:
    account = await synchronized(indexer)
    raw = publish(indexer, account, ("update", TRACK, track("Two")))
    key = indexer.world.account().document()["verificationMethod"][0]["publicKeyMultibase"]
    indexer.repos.by_did[account.did].signing_key = f"did:key:{key}"
    indexer.feed(raw)

    scrape = await scraped(indexer)
    assert scrape["verification_failures_total", "bad-signature"] == 1


async def test_a_sync_with_a_bad_signature_is_counted_too(indexer: Harness) -> None:
    account = await synchronized(indexer)
    account.commit([("update", TRACK, track("Two"))])
    raw = indexer.world.sync_frame(account)
    key = indexer.world.account().document()["verificationMethod"][0]["publicKeyMultibase"]
    indexer.repos.by_did[account.did].signing_key = f"did:key:{key}"
    indexer.feed(raw)

    assert (await scraped(indexer))["verification_failures_total", "bad-signature"] == 1


async def test_a_commit_in_the_old_form_is_counted_by_its_accounts_host(indexer: Harness) -> None:
    account = await synchronized(indexer)
    commit = account.commit([("update", TRACK, track("Two"))])
    indexer.feed(indexer.world.commit_frame(account, commit, prevData=None))

    scrape = await scraped(indexer)
    assert scrape["commits_without_prev_data_total", f"localhost:{indexer.server.port}"] == 1


async def test_an_audit_shows_its_share_and_what_it_found(indexer: Harness) -> None:
    for _ in range(3):
        await synchronized(indexer)
    behind = await synchronized(indexer)
    behind.commit([("update", TRACK, track("Two"))])
    await indexer.audited()
    indexer.clock_offset += timedelta(seconds=30)

    scrape = await scraped(indexer)
    assert scrape["audit_share_of_same"] == 0.75
    assert (scrape["audit_repos", "same"], scrape["audit_repos", "behind"]) == (3, 1)
    assert scrape["audit_age_seconds"] == pytest.approx(30)


async def test_a_host_that_asks_to_wait_is_counted_by_name(indexer: Harness) -> None:
    indexer.client.on_too_many_requests = indexer.metrics.too_many_requests.count
    indexer.server.refusals["getRepo"] = (429, "RateLimitExceeded", "slowly")
    account = indexer.world.account(pds=indexer.server.url)
    indexer.feed(publish(indexer, account, ("create", TRACK, track("One"))))
    await indexer.mend()

    scrape = await scraped(indexer)
    assert scrape["too_many_requests_total", "localhost"] >= 1
    assert scrape["paused_hosts"] == 1
    assert scrape["repairs_total", "failed:pds-unreachable"] == 1


def test_names_of_hosts_are_bounded() -> None:
    counter = HostCounter()
    for number in range(HOSTS_LIMIT + 50):
        counter.count(f"host-{number}.test")
    counter.count("host-0.test")

    assert len(counter) == HOSTS_LIMIT + 1
    assert (counter["host-0.test"], counter[OTHER_HOSTS]) == (2, 50)


def test_what_is_said_of_a_stream_is_counted_for_it_too() -> None:
    metrics = Metrics()
    metrics.event("indexer.gap", host="one.test", cursor=1, first_seq=9)
    metrics.event("indexer.fork", did="did:web:x.test", rev="1", commit="00")

    assert metrics.stream_events == {("one.test", "indexer.gap"): 1}
    assert metrics.events == {"indexer.gap": 1, "indexer.fork": 1}


async def test_whoever_cannot_write_for_a_minute_is_in_trouble_and_a_quiet_one_is_not(indexer: Harness) -> None:
    indexer.clock_offset += timedelta(hours=1)
    assert indexer.observation.trouble() is None
    indexer.feed(indexer.world.identity_frame(indexer.world.account()))
    assert indexer.observation.trouble() is None
    indexer.clock_offset += timedelta(seconds=75)

    assert indexer.observation.trouble() == "nothing was written for 75 s although something waits to be"
    await indexer.write()
    assert indexer.observation.trouble() is None


def test_a_standby_shows_that_it_is_one_and_no_figures() -> None:
    assert Scrape(families_of_a_standby()).samples == {("leads",): 0}


def test_the_alerts_and_their_page_ask_for_metrics_and_labels_that_there_are() -> None:
    declared = {each.name for each in INSTRUMENTS}
    declared |= {each.name + "_bucket" for each in INSTRUMENTS if each.kind is Kind.HISTOGRAM}
    rules, page = (HOW_TO / "alerts.yml").read_text(), (HOW_TO / "watch-the-indexer.md").read_text()
    asked = set(re.findall(r"plyr_indexer_\w+", rules + page))
    kinds = {kind for each in INSTRUMENTS if each.short_name == "frames_total" for kind in each.labels[0].values or ()}

    assert asked - declared == set()
    assert set(re.findall(r'kind=~"([^"]+)"', rules)[0].split("|")) < kinds
    queries = [_folded(query) for query in re.findall(r"```promql\n(.*?)```", page, re.DOTALL)]
    assert len(queries) == 2
    assert all(query in _folded(rules) for query in queries), "the page shows what the rules hold"


def _folded(text: str) -> str:
    return " ".join(text.split())
