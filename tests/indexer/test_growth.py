"""The cap on how fast strangers may make us grow, on a clock that the test moves."""

from datetime import UTC, datetime, timedelta

from indexer.growth import LONGEST_WAIT_SECONDS, WAITLIST_LIMIT, Growth, HostGrowth


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def admitted(growth: Growth, asked: int) -> int:
    return sum(growth.admit() for _ in range(asked))


def test_a_burst_is_taken_and_a_flood_is_not() -> None:
    growth = Growth(60, 5, Clock())
    assert admitted(growth, 100) == 5
    assert growth.refused == 95


def test_admissions_come_back_at_a_steady_rate() -> None:
    clock = Clock()
    growth = Growth(60, 5, clock)
    admitted(growth, 5)
    clock.move(0.9)
    assert not growth.admit()
    clock.move(0.2)
    assert admitted(growth, 5) == 1
    clock.move(3)
    assert admitted(growth, 5) == 3


def test_asking_in_vain_costs_nothing_of_what_has_come_back() -> None:
    clock = Clock()
    growth = Growth(60, 1, clock)
    growth.admit()
    total = 0
    for _ in range(11):
        clock.move(0.1)
        total += growth.admit()
    assert total == 1


def test_quiet_times_do_not_save_up_more_than_a_burst() -> None:
    clock = Clock()
    growth = Growth(60, 5, clock)
    clock.move(86_400)
    assert admitted(growth, 100) == 5


def test_in_the_long_run_no_more_come_in_than_the_rate_allows() -> None:
    clock = Clock()
    growth = Growth(30, 10, clock)
    total = 0
    for _ in range(600):
        clock.move(1)
        total += admitted(growth, 3)
    assert 300 <= total <= 310


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    clock = Clock()
    growth = Growth(60, 5, clock)
    admitted(growth, 3)
    clock.move(-3600)
    assert admitted(growth, 5) == 2


def test_who_is_not_admitted_waits_in_line_and_comes_in_order() -> None:
    clock = Clock()
    growth = Growth(60, 2, clock)
    for did in "abcd":
        if not growth.admit():
            growth.wait(did)
    growth.wait("c")
    assert (growth.waiting_count, growth.next_admitted()) == (2, None)

    clock.move(1)
    assert (growth.next_admitted(), growth.next_admitted()) == ("c", None)
    clock.move(5)
    assert (growth.next_admitted(), growth.next_admitted()) == ("d", None)


def test_a_million_new_accounts_in_an_hour_leave_a_bounded_line_and_are_counted() -> None:
    clock = Clock()
    growth = Growth(1200, 5000, clock)
    admitted = 0
    for number in range(1_000_000):
        clock.now += timedelta(seconds=0.0036)
        if growth.admit():
            admitted += 1
        else:
            growth.wait(f"did:plc:{number}")
    assert 5000 + 1200 * 60 - 2 <= admitted <= 5000 + 1200 * 60 + 1
    assert growth.waiting_count == WAITLIST_LIMIT
    assert growth.forgotten == 1_000_000 - admitted - WAITLIST_LIMIT
    assert growth.refused == 1_000_000 - admitted


def test_one_host_cannot_take_the_turns_of_all_others() -> None:
    clock = Clock()
    growth = HostGrowth(60, 3, clock)
    assert [growth.wait_seconds("farm") for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert growth.wait_seconds("home") == 0.0
    clock.move(1)
    assert [growth.wait_seconds("farm") for _ in range(2)] == [0.0, 1.0]


def test_where_nothing_may_grow_everybody_waits() -> None:
    growth = HostGrowth(0, 0, Clock())
    assert growth.wait_seconds("farm") == LONGEST_WAIT_SECONDS
    assert not Growth(0, 0, Clock()).admit()
