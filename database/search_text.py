"""What is searched for, and what is found: names as both programs write and ask them.

Pure, and the same on every Postgres: no locale, collation or extension has a say in what a letter is. A name becomes
lower-case words without accents and punctuation; scripts without spaces, and pictures, become a word for each character.
Of these are made the terms of a `tsvector`, told apart by how they begin:

    "= love is"   the whole name, for exact and prefix         " l" " lo"   how a word begins
    "lov" "ove"   three letters in a row, inside words         " 東" "東京"  a character, and two in a row
    "~ lve"       a word, and each way to leave out a letter   "# ambient"  a tag, or whatever else chooses

Everything is bounded, whatever a stranger calls a song. Refuses to know languages: nothing is stemmed or left out.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import regex

# A name is as long as this at most, as it is searched; what is longer is cut, in queries as in rows.
NAME_CHARACTERS: Final = 256
_READ_CHARACTERS: Final = 1024
_JOINED_CHARACTERS: Final = 24
# In shorter words a letter less is another word; longer ones are found by their parts.
_FUZZY_LETTERS: Final = range(4, 17)
_TRIGRAM: Final = 3
_APOSTROPHES: Final = regex.compile(r"[`´‘’‚‛′ʹʻʼʽˈ＇]")
# U+FFFD is what stands in rows for U+0000.
_NOTHING: Final = regex.compile(r"[\x00-\x1f\ufffd]")
_INVISIBLE: Final = regex.compile(r"[\p{Cf}\u0640\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Marks that may be left out in writing; those of other scripts make another letter.
_OPTIONAL_MARKS: Final = regex.compile(r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}]\p{Mn}*)\p{Mn}")
_LETTERS: Final = str.maketrans({
    "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ħ": "h", "ı": "i", "ŋ": "n", "ŧ": "t",
})  # fmt: skip
_NO_SPACES: Final = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー]"
)
_WORD: Final = regex.compile(
    rf"(?P<single>(?:(?=[\p{{L}}\p{{N}}]){_NO_SPACES}|\p{{So}})\p{{M}}*)"
    rf"|(?!{_NO_SPACES})[\p{{L}}\p{{N}}](?:(?!{_NO_SPACES})[\p{{L}}\p{{N}}\p{{M}}])*"
)
_ASCII_WORD: Final = regex.compile(r"[a-z0-9]+")
_SIGN: Final = regex.compile(r"[\p{P}\p{S}]")


@dataclass(frozen=True, slots=True)
class SearchRow:
    """How something is found: its words, a line for each text, and the terms of its tsvector."""

    words: str
    terms: list[str]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to ask, best first: tsqueries, and what a row's words must be LIKE where terms alone would say too much.

    `within` and `fuzzy` are None where they can find nothing that `words` does not.
    """

    exact: str
    prefix: str
    words: str
    words_like: list[str]
    within: str | None
    within_like: list[str] | None
    fuzzy: str | None


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, or a single character that is a word of its own."""

    text: str
    is_single: bool


_Chunk = list[_Word]


def normalize(text: str) -> str:
    """Return the words of a text as they are compared, with one space between; empty when it says nothing."""
    return _text(_words(_read(text)))


def search_row(
    names: Sequence[str], others: Sequence[str] = (), as_spelled: Sequence[str] = (), chosen_by: Iterable[str] = ()
) -> SearchRow | None:
    """Return how something is found; None when there is nothing to find it by.

    Names are matched exactly and by their beginning too, all texts by words, and all but those `as_spelled` also
    when they are mistyped; `chosen_by` are terms of `tag_term` and `purpose_term`.
    """
    lines: list[str] = []
    terms: set[str] = set()
    for number, text in enumerate((*names, *others, *as_spelled)):
        chunks = _read(text)
        words = _words(chunks)
        if not words:
            continue
        if number < len(names):
            terms.add(_name_term(words))
        joined = [_Word(each, is_single=False) for each in map(_joined, chunks) if each]
        for line in (words, joined):
            if line:
                lines.append(f" {_text(line)}")
                terms.update(_terms(line))
                terms.update(f" {word.text[:1]}" for word in line if not word.is_single)
                if number < len(names) + len(others):
                    terms.update(term for word in line for term in _near_terms(word))
    return SearchRow("\n".join(lines), sorted(terms.union(chosen_by))) if lines else None


def track_row(title: str, artist: str, album: str | None, tags: Sequence[str]) -> SearchRow | None:
    """Return how a track is found: by its title, artist, album and tags."""
    others = [*tags] if album is None else [album, *tags]
    return search_row([title], [artist], others, map(tag_term, tag_keys(tags)))


def list_row(name: str | None, purpose: str | None) -> SearchRow | None:
    """Return how a list is found: by its name."""
    return search_row([name or ""], chosen_by=[] if purpose is None else [purpose_term(purpose)])


def actor_row(handle: str | None, display_name: str | None) -> SearchRow | None:
    """Return how an account is found: by its verified handle and by its display name."""
    return search_row([handle or "", display_name or ""])


def tag_keys(tags: Iterable[str]) -> dict[str, str]:
    """Return the tags that say something, each once, as the author wrote it, by how it is compared."""
    keys: dict[str, str] = {}
    for tag in tags:
        if key := normalize(tag):
            keys.setdefault(key, tag)
    return keys


def tag_term(key: str) -> str:
    """Return the term by which a normalized tag chooses rows."""
    return f"# {key}"


def purpose_term(purpose: str) -> str:
    """Return the term by which a list's type chooses rows, exactly as it is written."""
    return f"@ {purpose[:NAME_CHARACTERS]}".replace("\0", "\ufffd")


def term_query(term: str) -> str:
    """Return the tsquery for one term."""
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def query_of(text: str) -> SearchQuery | None:
    """Return what to ask for a text that somebody typed; None when it says nothing."""
    chunks = _read(text)
    parts = [part for chunk in chunks for part in _parts(chunk)]
    if not parts:
        return None
    name = term_query(_name_term(_words(chunks)))
    begins = [_all(_terms(part)) for part in parts]
    begins_like = [f"% {_escaped(_text(part))}%" for part in parts]
    within = [_trigrams(part[0]) for part in parts]
    near = [_near_terms(part[0]) for part in parts]
    return SearchQuery(
        exact=name,
        prefix=f"{name}:*",
        words=" & ".join(begins),
        words_like=begins_like,
        within=" & ".join(map(_all_or, within, begins)) if any(within) else None,
        within_like=[
            f"%{_escaped(part[0].text)}%" if inner else like
            for part, inner, like in zip(parts, within, begins_like, strict=True)
        ]
        if any(within)
        else None,
        fuzzy=" & ".join(
            f"({' | '.join(map(term_query, some))} | {begin})" if some else begin
            for some, begin in zip(near, begins, strict=True)
        )
        if any(near)
        else None,
    )


def _read(text: str) -> list[_Chunk]:
    """Return the words of a text as far as a name goes, those together between which there is no space."""
    folded = _fold(text[:_READ_CHARACTERS])
    pattern = _ASCII_WORD if folded.isascii() else _WORD
    found = [
        [_Word(match.group(), match.lastgroup is not None) for match in pattern.finditer(chunk)]
        for chunk in folded.split()
    ]
    if not any(found):
        # There is a band called "!!!": what has nothing else is called by its punctuation.
        found = [[_Word(mark, is_single=True) for mark in _SIGN.findall(chunk)] for chunk in folded.split()]
    chunks: list[_Chunk] = []
    room = NAME_CHARACTERS
    for chunk in found:
        kept: _Chunk = []
        for word in chunk:
            if room > 0:
                kept.append(_Word(word.text[:room], word.is_single))
            room -= len(word.text) + 1
        if kept:
            chunks.append(kept)
    return chunks


def _fold(text: str) -> str:
    """Return a text without case, accents, invisible characters and variants of the same character."""
    text = _NOTHING.sub(" ", text)
    if text.isascii():
        return text.lower().replace("`", "'")
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = _OPTIONAL_MARKS.sub("", unicodedata.normalize("NFD", _INVISIBLE.sub("", text)).translate(_LETTERS))
    folded: str = _APOSTROPHES.sub("'", unicodedata.normalize("NFC", text))
    return folded


def _words(chunks: Iterable[_Chunk]) -> list[_Word]:
    return [word for chunk in chunks for word in chunk]


def _text(words: Iterable[_Word]) -> str:
    return " ".join(word.text for word in words)


def _name_term(words: Iterable[_Word]) -> str:
    return f"= {_text(words)}"


def _joined(chunk: _Chunk) -> str:
    """Return words with only punctuation between as one, such as dont and hiphop; empty where that is nothing new."""
    words = [word.text for word in chunk if not word.is_single]
    text = "".join(words)
    return text if len(words) > 1 and len(text) <= _JOINED_CHARACTERS else ""


def _parts(chunk: _Chunk) -> list[_Chunk]:
    """Return what must be found each for itself: words, and runs of single characters."""
    parts: list[_Chunk] = []
    for index, word in enumerate(chunk):
        if index and word.is_single and chunk[index - 1].is_single:
            parts[-1].append(word)
        else:
            parts.append([word])
    return parts


def _terms(words: Sequence[_Word]) -> list[str]:
    """Return the terms of words in a row: how they begin, and what is in them."""
    terms: dict[str, None] = {}
    for index, word in enumerate(words):
        if word.is_single:
            terms[f" {word.text}"] = None
            if index and words[index - 1].is_single:
                terms[words[index - 1].text + word.text] = None
        else:
            terms[f" {word.text[:2]}"] = None
            terms.update(dict.fromkeys(_trigrams(word)))
    return list(terms)


def _trigrams(word: _Word) -> list[str]:
    if word.is_single:
        return []
    return [word.text[start : start + _TRIGRAM] for start in range(len(word.text) - _TRIGRAM + 1)]


def _near_terms(word: _Word) -> list[str]:
    """Return terms of which two words share one when they differ by a letter more, less, other or swapped."""
    if word.is_single or len(word.text) not in _FUZZY_LETTERS or not word.text.isalpha():
        return []
    forms = {word.text, *(word.text[:index] + word.text[index + 1 :] for index in range(len(word.text)))}
    return [f"~ {form}" for form in sorted(forms)]


def _all(terms: Iterable[str]) -> str:
    return " & ".join(map(term_query, terms))


def _all_or(terms: Sequence[str], otherwise: str) -> str:
    return _all(terms) if terms else otherwise


def _escaped(text: str) -> str:
    """Return a text as a pattern for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
