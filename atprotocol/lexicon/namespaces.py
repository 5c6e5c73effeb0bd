"""Move lexicons from one namespace to another.

Staging and production speak the same lexicons under different names; one set of files serves both. What
names a lexicon is rewritten, by whole segments of its NSID; prose is left alone.
"""

from collections.abc import Mapping

from atprotocol.data_model import Json

_NAMING_KEYS = frozenset(("id", "ref", "refs", "const", "default", "enum", "knownValues", "collection", "lxm"))


def in_namespace(document: Mapping[str, Json], old: str, new: str) -> dict[str, Json]:
    """Return a lexicon document with the names under `old` moved to `new`: its id, references and values."""
    return {key: _moved(value, key in _NAMING_KEYS, old, new) for key, value in document.items()}


def _moved(value: Json, is_name: bool, old: str, new: str) -> Json:
    match value:
        case str():
            return _moved_name(value, old, new) if is_name else value
        case list():
            return [_moved(item, is_name, old, new) for item in value]
        case dict():
            return in_namespace(value, old, new)
    return value


def _moved_name(text: str, old: str, new: str) -> str:
    scheme = "lex:" if text.startswith("lex:") else ""
    nsid, hash_sign, name = text.removeprefix("lex:").partition("#")
    if nsid != old and not nsid.startswith(f"{old}."):
        return text
    return f"{scheme}{new}{nsid[len(old) :]}{hash_sign}{name}"
