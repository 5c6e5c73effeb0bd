"""Labels as JSON: com.atproto.label.defs#label, those that the asker wants to see."""

from collections.abc import Iterable

from appview.rows import LabelRow, State
from appview.views.formats import cid_text, instant_text, present
from appview.xrpc.call import Output

_AT = "at://"


def label_views(subjects: Iterable[str], state: State) -> list[Output] | None:
    """Return what is stated about these DIDs or URIs, None for nothing.

    What an author states of their own is always told; of labelers' words those that the asker accepts.
    """
    if not state.labels:
        return None
    found = [
        _label_view(label)
        for subject in subjects
        for label in state.labels.get(subject, ())
        if state.asker.labelers is None or label.src in state.asker.labelers or _is_own(label)
    ]
    return found or None


def _is_own(label: LabelRow) -> bool:
    return label.uri.removeprefix(_AT).partition("/")[0] == label.src


def _label_view(label: LabelRow) -> Output:
    return present({
        "src": label.src,
        "uri": label.uri,
        "cid": cid_text(label.cid) if label.cid else None,
        "val": label.val,
        "cts": label.created_at,
        "exp": None if label.expires_at is None else instant_text(label.expires_at),
    })  # fmt: skip
