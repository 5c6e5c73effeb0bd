import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.search_text import (
    NAME_CHARACTERS,
    SearchQuery,
    SearchRow,
    actor_row,
    list_row,
    normalize,
    purpose_term,
    query_of,
    search_row,
    tag_keys,
    tag_term,
    term_query,
    track_row,
)

texts = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from("abcdeAÉß' -.🔥東京ガーが서울สวัสัйё0%_\\"), max_size=30),
)


def found(query: str | None, row: SearchRow) -> bool:
    """Tell whether a tsquery of ours holds for a row, read anew: | of & of quoted terms, with parentheses around |."""
    if query is None:
        return False
    terms = set(row.terms)

    def holds(text: str) -> bool:
        prefix = text.endswith(":*")
        term = text.removesuffix(":*")[1:-1].replace("''", "'").replace("\\\\", "\\")
        return any(each.startswith(term) for each in terms) if prefix else term in terms

    expression = re.sub(r"'(?:[^'\\]|''|\\\\)*'(?::\*)?", lambda match: f" {holds(match.group())} ", query)
    return bool(eval(expression.replace("&", " and ").replace("|", " or ")))


def is_like(patterns: list[str] | None, row: SearchRow) -> bool:
    """Do as SQL does with LIKE ALL."""
    if patterns is None:
        return False
    for pattern in patterns:
        parts = re.findall(r"\\.|%|.", pattern, re.DOTALL)
        regular = "".join(".*" if part == "%" else re.escape(part[-1]) for part in parts)
        if not re.fullmatch(regular, row.words, re.DOTALL):
            return False
    return True


def tier(query: SearchQuery, row: SearchRow) -> int | None:
    """Return the tier in which a row is found."""
    if found(query.exact, row):
        return 0
    if found(query.prefix, row):
        return 1
    if found(query.words, row) and is_like(query.words_like, row):
        return 2
    if found(query.within, row) and is_like(query.within_like, row):
        return 3
    return 4 if found(query.fuzzy, row) else None


def tier_of(asked: str, title: str) -> int | None:
    query, row = query_of(asked), search_row([title])
    return None if query is None or row is None else tier(query, row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Motörhead – “Ace of Spades” (Live)", "motorhead ace of spades live"),
        ("  L’Amour\ttoujours ", "l amour toujours"),
        ("STRASSE Straße", "strasse strasse"),
        ("Bjørk Ærø Łódź Đorđe İstanbul ılık", "bjork aero lodz dorde istanbul ilik"),
        ("Ελλάδα ΣΊΣΥΦΟΣ", "ελλαδα σισυφοσ"),
        ("Ёлка Йод", "елка иод"),
        ("قُرْآن", "قران"),
        ("東京タワー", "東 京 タ ワ ー"),
        ("がぎ か\u3099", "が ぎ が"),
        ("ｶﾞﾝﾀﾞﾑ Ｆｕｌｌ", "ガ ン ダ ム full"),
        ("서울역", "서 울 역"),
        ("हिन्दी गीत", "हिन्दी गीत"),
        ("สวัสดี", "ส วั ส ดี"),
        ("🔥🔥 fire", "🔥 🔥 fire"),
        ("👩\u200d🎤", "👩 🎤"),
        ("100% _x\\", "100 x"),
        ("!!!", "! ! !"),
        ("a\0b\ufffdc", "a b c"),
        ("ﬁne №5 ½", "fine no5 1 2"),
        ("\u200b\u00ad", ""),
        ("", ""),
        (" \t\n", ""),
    ],
)
def test_a_text_is_compared_by_its_words(text: str, expected: str) -> None:
    assert normalize(text) == expected


@given(texts)
def test_what_is_normalized_stays_as_it_is(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert "\0" not in once
    assert len(once) <= NAME_CHARACTERS


@given(texts)
def test_a_name_is_found_by_itself(text: str) -> None:
    if normalize(text):
        assert tier_of(text, text) == 0


@given(texts, st.integers(0, 40), st.text(max_size=5))
def test_a_name_is_found_by_its_beginning(text: str, length: int, more: str) -> None:
    words = normalize(text)[:length].rstrip()
    if normalize(words) == words and words:
        assert tier_of(words, text) in (0, 1)


@given(st.lists(texts, max_size=4), st.data())
def test_words_are_found_by_their_beginnings_in_any_order_and_text(others: list[str], data: st.DataObject) -> None:
    row = search_row([], others)
    if row is None:
        return
    words = data.draw(st.lists(st.sampled_from(row.words.split()), min_size=1, max_size=3))
    # A character of a script without spaces is not taken apart, marks and all.
    asked = " ".join(
        word[: data.draw(st.integers(1, len(word)))] if f" {word[:1]}" in row.terms else word for word in words
    )
    query = query_of(asked)
    # Signs count only where there is nothing else.
    if query is not None and normalize(asked) == asked:
        assert tier(query, row) is not None


@given(st.text(st.sampled_from("abcé東京ガー서울"), min_size=1, max_size=12), st.data())
def test_every_part_of_a_word_of_three_characters_or_more_finds_it(title: str, data: st.DataObject) -> None:
    title = normalize(title).replace(" ", "")
    start = data.draw(st.integers(0, len(title) - 1))
    part = title[start : data.draw(st.integers(start + 1, len(title)))]
    is_spaceless = not re.search("[a-z]", part)
    letters_around = re.search(r"[a-z]*$", title[:start])
    begins_word = letters_around is not None and not letters_around.group()
    first = re.match("[a-z]*", part)
    assert first is not None
    if is_spaceless or begins_word or len(first.group()) >= 3:
        assert tier_of(part, title) is not None, (part, title)


LETTERS = "abcdefgh"
words_of_letters = st.text(st.sampled_from(LETTERS), min_size=5, max_size=12)


@given(words_of_letters, st.data())
def test_a_letter_more_less_other_or_swapped_is_forgiven(word: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from(LETTERS))
    mistyped = data.draw(
        st.sampled_from([
            word[:place] + letter + word[place:],
            word[:place] + word[place + 1 :],
            word[:place] + letter + word[place + 1 :],
            word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
        ])
    )  # fmt: skip
    assert tier_of(mistyped, f"some {word} here") is not None


@pytest.mark.parametrize(
    ("asked", "title", "expected"),
    [
        ("love", "Love", 0),
        ("LOVE!", "“Løve”", 0),
        ("don't stop", "Don’t Stop", 0),
        ("dont stop", "Don’t Stop", 2),
        ("acdc", "AC/DC", 2),
        ("ac dc", "AC/DC", 0),
        ("hip-hop", "Hiphop", 3),
        ("amour", "L'amour toujours", 2),
        ("love", "Lovely day", 1),
        ("day lov", "Lovely day", 2),
        ("love", "Glove", 3),
        ("lvoe", "Love", 4),
        ("radiohaed creep", "Creep by Radiohead", 4),
        ("beethofen", "Beethoven", 4),
        ("l", "Lovely day", 1),
        ("d", "Lovely day", 2),
        ("da", "Lovely day", 2),
        ("ay", "Lovely day", None),
        ("tst", "test", None),
        ("京", "東京タワー", 2),
        ("東京", "東京タワー", 1),
        ("京タ", "東京タワー", 2),
        ("東タ", "東京タワー", None),
        ("タワー 東京", "東京タワー", 2),
        ("か", "が", None),
        ("🔥", "Fire 🔥", 2),
        ("!!!", "!!!", 0),
        ("!", "Hello!", None),
        ("%", "100%", None),
        ("%", "%", 0),
        ("_", "abc", None),
        ("\\", "\\", 0),
        ("'", "'", 0),
        ("' | 'a", "a", 0),
        ("a + b", "A & B", 0),
        ("$", "A$AP", None),
        ("a$ap", "A$AP", 0),
        ("👋🏽", "👋", 0),
        ("<3", "<3", 0),
        ("+", "+", 0),
        (":*", "anything", None),
        ("2024", "Live 2024", 2),
        ("2025", "Live 2024", None),
    ],
)
def test_what_finds_what(asked: str, title: str, expected: int | None) -> None:
    assert tier_of(asked, title) == expected


def test_a_text_that_says_nothing_asks_nothing() -> None:
    for text in ("", " ", "\0", "\u200b", "\ufffd"):
        assert query_of(text) is None
        assert search_row([text]) is None


@settings(max_examples=20)
@given(st.text(min_size=1, max_size=50))
def test_whatever_a_stranger_calls_a_song_is_bounded(text: str) -> None:
    hostile = (text * 5000)[:5000]
    row = track_row(hostile, hostile, hostile, [hostile] * 10)
    query = query_of(hostile)
    if row is not None:
        assert len(row.terms) <= 9000
        assert all(len(term.encode()) <= 2046 for term in row.terms)
    if query is not None:
        assert len(query.words.encode()) + len((query.fuzzy or "").encode()) < 200_000


@pytest.mark.parametrize(
    "text", ["a b c d e f g " * 1000, "x" * 5000, "東" * 5000, "\ufdfa" * 5000, "🔥" * 5000, "abcdefgh " * 600]
)
def test_a_title_of_five_thousand_characters_is_bounded(text: str) -> None:
    row = track_row(text, text, text, [text])
    assert row is not None
    assert len(row.terms) < 2500
    assert tier_of(text, text) == 0


def test_artist_is_forgiven_typing_errors_and_an_album_is_not() -> None:
    row = track_row("One", "Radiohead", "Amnesiac", ["Ambient", "ambient", " "])
    assert row is not None
    for asked, expected in (
        ("one", 0),
        ("radiohead", 2),
        ("radiohaed", 4),
        ("amnesiac", 2),
        ("amnesaic", None),
        ("ambient", 2),
    ):
        query = query_of(asked)
        assert query is not None
        assert tier(query, row) == expected, asked
    assert tag_term("ambient") in row.terms
    assert tag_keys(["Ambient", "ambient", " "]) == {"ambient": "Ambient"}


def test_lists_are_chosen_by_their_type_and_accounts_have_two_names() -> None:
    row = list_row("Best of", "album")
    assert row is not None
    assert purpose_term("album") in row.terms
    assert list_row(None, "album") is None
    both = actor_row("alice.example.com", "Alice in Chains")
    assert both is not None
    for asked, expected in (("alice.example.com", 0), ("@alice.example.com", 0), ("alice in chains", 0), ("chains", 2)):
        query = query_of(asked)
        assert query is not None
        assert tier(query, both) == expected
    assert actor_row(None, None) is None


def test_a_term_is_quoted() -> None:
    assert term_query("it's \\ so") == "'it''s \\\\ so'"
