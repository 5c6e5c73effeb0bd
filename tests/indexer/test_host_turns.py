import pytest

from indexer.host_turns import HostTurns


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
