"""The cap on how fast strangers may make us grow, on a clock that the test moves."""

from datetime import UTC, datetime, timedelta

from indexer.growth import Growth


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
