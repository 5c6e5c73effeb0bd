import pytest

from indexer.host_turns import LONGEST_PAUSE_SECONDS, HostTurns


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def turns(woken: list[str]) -> HostTurns:
    return HostTurns(1, lambda name, _: woken.append(name), lambda: 0.0, lambda: 0.5)


def test_who_is_held_back_is_woken_in_order_as_turns_are_given_back(turns: HostTurns, woken: list[str]) -> None:
    assert [turns.take("slow", name) for name in "abc"] == [True, False, False]
    assert turns.take("other", "d")

    turns.give_back("slow")
    assert (woken, turns.take("slow", "b")) == (["b"], True)
    turns.give_back("slow")
    assert (woken, turns.held_count) == (["b", "c"], 0)


def test_a_turn_that_is_not_taken_goes_to_the_next(turns: HostTurns, woken: list[str]) -> None:
    assert [turns.take("slow", name) for name in "abc"] == [True, False, False]
    turns.lapse("a")
    assert woken == []

    turns.give_back("slow")
    turns.lapse("b")
    assert woken == ["b", "c"]


def test_who_moved_to_another_host_leaves_its_turn_to_the_next(turns: HostTurns, woken: list[str]) -> None:
    assert [turns.take("slow", name) for name in "abc"] == [True, False, False]
    turns.give_back("slow")
    assert turns.take("other", "b")
    turns.lapse("b")

    assert woken == ["b", "c"]


class Time:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def later() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def patient(later: list[tuple[str, float]], time: Time) -> HostTurns:
    return HostTurns(3, lambda name, seconds: later.append((name, seconds)), time, lambda: 0.0)


def test_a_host_that_asks_for_a_pause_has_it_from_all_its_accounts(
    patient: HostTurns, later: list[tuple[str, float]], time: Time
) -> None:
    patient.failed("busy", 30.0)
    assert [patient.take("busy", name) for name in "ab"] == [False, False]
    assert later == [("a", 30.0), ("b", 30.0)]
    assert patient.take("other", "c")
    assert patient.paused_count == 1

    time.now = 30.0
    assert patient.take("busy", "a")
    assert patient.paused_count == 0


def test_a_host_that_fails_once_or_twice_is_not_paused_and_ever_longer_after_that(
    patient: HostTurns, later: list[tuple[str, float]], time: Time
) -> None:
    pauses = []
    for number in range(14):
        patient.failed("down", None)
        taken = patient.take("down", f"{number}")
        if taken:
            patient.give_back("down")
        pauses.append(0.0 if taken else later[-1][1])
        time.now += pauses[-1]
    assert pauses[:2] == [0.0, 0.0]
    assert pauses[2:5] == [2.5, 5.0, 10.0]
    assert pauses[-1] == pauses[-2] == LONGEST_PAUSE_SECONDS / 2, "with jitter at its least"


def test_a_host_that_answers_again_is_forgiven(patient: HostTurns) -> None:
    for _ in range(5):
        patient.failed("down", None)
    patient.succeeded("down")
    patient.failed("down", None)
    assert patient.take("down", "a")
