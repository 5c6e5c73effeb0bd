"""Judge the labels of one labeler: decoded, of this source, in scope, and signed with its key for labels.

Who the labeler is now its DID document says: it is read for every connection, but at most once a minute, and hourly while
labels come. A signature that does not verify has it read once more, as the key may have changed; when that explains nothing,
no other is looked into for a minute. What cannot be found out is raised: the caller comes again with the same labels.
"""

import asyncio
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from atprotocol.crypto import PublicKey, parse_did_key
from atprotocol.data_model import Value
from atprotocol.errors import BadSignature, InvalidDocument, InvalidLabel
from atprotocol.labels import Label, decode_label, verify_label
from atprotocol.net.directory import Directory
from atprotocol.syntax.did import DID
from indexer.label_scope import Refusal, is_kept
from indexer.metrics import Metrics

LEAST_INTERVAL: Final = timedelta(minutes=1)
# A key that was given up is not believed for longer, however long a connection lasts.
KEY_INTERVAL: Final = timedelta(hours=1)
# Signatures take 0.1 ms: other work gets its turn between so many.
SLICE: Final = 50


@dataclass(frozen=True, slots=True)
class Labeler:
    """A labeler as its document has it: where it is asked, an origin, and the one key of its labels."""

    endpoint: str
    key: PublicKey


class LabelChecks:
    """Judges what one labeler says, or what is said in its name."""

    def __init__(
        self, did: DID, directory: Directory, collections: Set[str], metrics: Metrics, clock: Callable[[], datetime]
    ) -> None:
        """Take the parts; labels about records of `collections` are kept."""
        self._did = did
        self._directory = directory
        self._collections = collections
        self._metrics = metrics
        self._clock = clock
        self._known: Labeler | None = None
        self._resolved_at: datetime | None = None
        self._unexplained_at: datetime | None = None

    async def identify(self) -> Labeler:
        """Return the labeler, from its document of this minute.

        Raises NetworkError when it cannot be found out now, IdentityNotFound or InvalidDocument when it is no labeler.
        """
        return await self._resolved_within(LEAST_INTERVAL)

    async def accepted(self, values: Sequence[Value]) -> list[Label]:
        """Return those of these labels that are this labeler's and concern us; the others are counted.

        Raises what `identify` raises when a signature calls the key into question and nobody can answer.
        """
        labels = []
        for number, value in enumerate(values, 1):
            label = self._read(value)
            if label is not None and await self._is_signed(value, label):
                labels.append(label)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return labels

    def _read(self, value: Value) -> Label | None:
        try:
            label = decode_label(value)
        except InvalidLabel as error:
            self._refuse(Refusal.MALFORMED, reason=str(error)[:200])
            return None
        if label.src != self._did:
            self._refuse(Refusal.OTHER_SOURCE, source=label.src[:200])
            return None
        if not is_kept(label, self._collections):
            # Most of what a labeler of the whole network says.
            self._metrics.labels_refused[Refusal.OUT_OF_SCOPE] += 1
            return None
        return label

    async def _is_signed(self, value: Value, label: Label) -> bool:
        key = (await self._resolved_within(KEY_INTERVAL)).key
        if _verifies(value, key) or await self._is_explained_by_a_new_key(value, key):
            return True
        self._refuse(Refusal.BAD_SIGNATURE, uri=label.uri[:200], value=label.val)
        return False

    async def _is_explained_by_a_new_key(self, value: Value, doubted: PublicKey) -> bool:
        unexplained_at = self._unexplained_at
        if unexplained_at is not None and self._clock() - unexplained_at < LEAST_INTERVAL:
            return False
        key = (await self._resolve()).key
        if key != doubted:
            self._metrics.event("indexer.labeler_rotated", labeler=self._did)
            if _verifies(value, key):
                return True
        self._unexplained_at = self._clock()
        return False

    async def _resolved_within(self, interval: timedelta) -> Labeler:
        known, resolved_at = self._known, self._resolved_at
        is_fresh = resolved_at is not None and self._clock() - resolved_at < interval
        return known if known is not None and is_fresh else await self._resolve()

    async def _resolve(self) -> Labeler:
        identity = await self._directory.resolve(self._did)
        if identity.label_key is None:
            raise InvalidDocument(f"{self._did} names no key for labels")
        if identity.labeler is None:
            raise InvalidDocument(f"{self._did} names no labeler's service")
        self._known = Labeler(identity.labeler, parse_did_key(identity.label_key))
        self._resolved_at = self._clock()
        return self._known

    def _refuse(self, refusal: Refusal, **fields: object) -> None:
        self._metrics.labels_refused[refusal] += 1
        self._metrics.often("indexer.label_refused", labeler=self._did, refusal=refusal, **fields)


def _verifies(value: Value, key: PublicKey) -> bool:
    try:
        verify_label(value, key)
    except BadSignature:
        return False
    return True
