"""The ways the network can be wrong, or silent.

    ProtocolError                 the network sent something invalid: count it, drop it, go on
    ├── InvalidSyntax             a string is not of its format (also a ValueError)
    ├── FrameError                an event-stream frame cannot be read at all
    ├── EncodingError             CBOR, CID, CAR or JSON data-model bytes break their rules
    ├── InvalidKey                a public key cannot be read
    ├── InvalidDocument           a DID document breaks its rules
    ├── InvalidLabel              a label breaks the rules of its form
    ├── VerificationError         a commit is not what it claims
    │   ├── BadSignature
    │   ├── FieldMismatch         sizes, shapes, revs, DIDs
    │   ├── BrokenChain           it builds on another root than the one stored
    │   ├── PartialTree           the proof lacks a block that it needs
    │   └── TreeMismatch          the tree does not say what the operations say
    ├── BadToken                  a service token proves nothing, and why by its protocol name
    ├── IdentityNotFound          conclusive: this DID does not exist, or is tombstoned
    ├── RepoGone                  conclusive: the host no longer serves this repo, and says why
    ├── StreamRefused             conclusive: this URL serves no event stream
    └── QueryRefused              conclusive: this host does not answer this query
    NetworkError                  the network did not answer: retry with backoff
    ├── HostNotFound              the name of a host does not exist
    ├── ForbiddenAddress          a URL leads where we do not go
    ├── ResponseTooLarge          an answer is longer than we read
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


class InvalidLabel(ProtocolError):
    """A label lacks a field, or has one that breaks its rules."""


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


class BadToken(ProtocolError):
    """A service token does not prove what it should; `name` is the protocol's name of the error.

    The message is for whoever sent it: it holds nothing of the token.
    """

    def __init__(self, name: str, message: str) -> None:
        """Name the error, as in `BadJwtAudience`, and say what is wrong."""
        super().__init__(message)
        self.name = name
        self.message = message


class IdentityNotFound(ProtocolError):
    """Conclusive: the DID does not exist; or `is_tombstone`, it was given up for good."""

    def __init__(self, message: str, *, is_tombstone: bool = False) -> None:
        """Say why."""
        super().__init__(message)
        self.is_tombstone = is_tombstone


class RepoGone(ProtocolError):
    """Conclusive: the host no longer serves this repo; `reason` is the protocol's name of the error."""

    def __init__(self, reason: str, message: str = "") -> None:
        """Name the error, as in `RepoTakendown`."""
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason


class BlobNotFound(ProtocolError):
    """Conclusive: the host has no such blob of this account."""


class BlobMismatch(ProtocolError):
    """The bytes that a host gave for a blob are not those that its CID names."""


class StreamRefused(ProtocolError):
    """Conclusive: what answers at this URL will never stream events."""


class QueryRefused(ProtocolError):
    """Conclusive: the host does not know the query, or will not answer it as it was asked."""


class NetworkError(Exception):
    """The network did not answer, or not usefully; trying again later may help.

    `retry_after_seconds` is the wait that the other side asked for, if it asked.
    """

    def __init__(self, message: str = "", *, retry_after_seconds: float | None = None) -> None:
        """Say what failed."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class HostNotFound(NetworkError):
    """The name of a host does not exist."""


class ForbiddenAddress(NetworkError):
    """A URL, or the address that it leads to, is none that a stranger may make us ask."""


class ResponseTooLarge(NetworkError):
    """An answer is longer than its reader allows, or would be once decompressed."""


class IdentityUnavailable(NetworkError):
    """The DID could not be resolved now."""


class RepoUnavailable(NetworkError):
    """A repo could not be fetched now."""
