"""A labeler for tests: an account with two keys, its statements signed by an encoder that is not the project's.

What it says is a dictionary that tests bend before or after it is signed. Time is the account's world's.
"""

import base64
from dataclasses import dataclass, field
from typing import Any

import world

LabelMap = dict[str, Any]


@dataclass
class Labeler(world.Account):
    """An account that labels; `label_key` signs labels, `key` is its account's and signs none."""

    label_key: world.Key = field(default_factory=lambda: world.Key("K-256", 7))
    endpoint: str = "https://labeler.example.com"
    names_key: bool = True

    def document(self) -> dict[str, Any]:
        """Return the account's DID document, with what makes a labeler of it."""
        found = super().document()
        if self.names_key:
            method = {"id": f"{self.did}#atproto_label", "type": "Multikey", "controller": self.did}
            found["verificationMethod"].append(method | {"publicKeyMultibase": self.label_key.multikey})
        found["service"].append({"id": "#atproto_labeler", "type": "AtprotoLabeler", "serviceEndpoint": self.endpoint})
        return found

    def label(self, uri: str, val: str, /, *, key: world.Key | None = None, **fields: Any) -> LabelMap:
        """Return a signed label, a moment later than the last; `fields` replace or add some, None leaves one out."""
        self.world.now_us += 1000
        made = {"ver": 1, "src": self.did, "uri": uri, "val": val, "cts": self.world.time()} | fields
        return signed({name: value for name, value in made.items() if value is not None}, key or self.label_key)


def labeler(network: world.World, *, endpoint: str = "https://labeler.example.com", curve: str = "K-256") -> Labeler:
    """Return a new labeler of a world."""
    plain = network.account()
    made = Labeler(
        network, plain.did, plain.handle, plain.key, plain.pds, label_key=network.key(curve), endpoint=endpoint
    )
    network.accounts[plain.did] = made
    return made


def signed(fields: LabelMap, key: world.Key, *, high_s: bool = False) -> LabelMap:
    """Return the map with its signature."""
    unsigned = {name: value for name, value in fields.items() if name != "sig"}
    return unsigned | {"sig": key.sign(world.encode(unsigned), high_s=high_s)}


def labels_frame(seq: int, *labels: Any) -> bytes:
    """Return the frame of a #labels message."""
    return world.encode({"op": 1, "t": "#labels"}) + world.encode({"seq": seq, "labels": list(labels)})


def as_json(label: LabelMap) -> LabelMap:
    """Return a label as queryLabels tells it."""
    return {
        name: {"$bytes": base64.b64encode(value).decode().rstrip("=")} if isinstance(value, bytes) else value
        for name, value in label.items()
    }
