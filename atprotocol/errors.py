"""The ways the network can be wrong, or silent.

    ProtocolError                 the network sent something invalid: count it, drop it, go on
    ├── InvalidSyntax             a string is not of its format (also a ValueError)
    ├── FrameError                an event-stream frame cannot be read at all
    ├── EncodingError             CBOR, CID, CAR or JSON data-model bytes break their rules
    ├── InvalidKey                a public key cannot be read
    ├── InvalidDocument           a DID document breaks its rules
    ├── InvalidRecord             a record breaks its lexicon
    ├── VerificationError         a commit is not what it claims
    │   ├── BadSignature
    │   ├── FieldMismatch         sizes, shapes, revs, DIDs
    │   ├── BrokenChain           it builds on another root than the one stored
    │   ├── PartialTree           the proof lacks a block that it needs
    │   └── TreeMismatch          the tree does not say what the operations say
    └── IdentityNotFound          conclusive: this DID does not exist, or is tombstoned
    NetworkError                  the network did not answer: retry with backoff
    ├── IdentityUnavailable
    └── RepoUnavailable

Anything else is our bug, or our own corruption, and must end the program.
"""


class ProtocolError(Exception):
    """The network sent something invalid."""


class InvalidSyntax(ProtocolError, ValueError):
    """A string is not of the format that its place demands."""


class FrameError(ProtocolError):
    """A frame's header or payload cannot be decoded, or lacks what routing needs."""


class EncodingError(ProtocolError):
    """Bytes or JSON break the rules of the data model, CID, CAR or a tree node."""


class InvalidKey(ProtocolError):
    """A public key cannot be read or is of no supported curve."""


class InvalidDocument(ProtocolError):
    """A DID document is not a document of the DID that was asked for, or lacks what it needs."""


class InvalidRecord(ProtocolError):
    """A record breaks its lexicon."""


class VerificationError(ProtocolError):
    """A commit is not what it claims to be."""


class BadSignature(VerificationError):
    """The signature is not one of this key over these bytes."""


class FieldMismatch(VerificationError):
    """A size, shape or field of the commit or its frame breaks the rules."""


class BrokenChain(VerificationError):
    """The commit is authentic and builds on another root than the one that is stored."""


class PartialTree(VerificationError):
    """The blocks do not suffice to prove the operations: missing proof, not proof of fraud."""


class TreeMismatch(VerificationError):
    """The signed tree and the operations contradict each other or the stored root."""


class IdentityNotFound(ProtocolError):
    """Conclusive: the DID does not exist, or is tombstoned."""


class NetworkError(Exception):
    """The network did not answer, or not usefully; trying again later may help."""


class IdentityUnavailable(NetworkError):
    """The DID could not be resolved now."""


class RepoUnavailable(NetworkError):
    """A repo could not be fetched now."""
