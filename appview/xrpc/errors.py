"""Errors as clients see them: a status, a name for programs, a message for people.

A name is one that the method's lexicon declares, or one of the generic set below; the server refuses to send
any other. Messages never carry the text of an exception. Source: https://atproto.com/specs/xrpc#error-responses
"""

from collections.abc import Mapping

INVALID_REQUEST = "InvalidRequest"
METHOD_NOT_IMPLEMENTED = "MethodNotImplemented"
PAYLOAD_TOO_LARGE = "PayloadTooLarge"
UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
RATE_LIMIT_EXCEEDED = "RateLimitExceeded"
INTERNAL_SERVER_ERROR = "InternalServerError"
NOT_ENOUGH_RESOURCES = "NotEnoughResources"

GENERIC_ERRORS = frozenset((
    INVALID_REQUEST,
    METHOD_NOT_IMPLEMENTED,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RATE_LIMIT_EXCEEDED,
    INTERNAL_SERVER_ERROR,
    NOT_ENOUGH_RESOURCES,
))  # fmt: skip


class XrpcError(Exception):
    """An answer that is an error; `headers` go with it."""

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Say the HTTP status, the name of the error and what happened."""
        super().__init__(f"{status} {error}: {message}")
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers or {}


class InvalidRequest(XrpcError):
    """The request breaks a rule that the lexicon or the protocol states."""

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Say which rule."""
        super().__init__(400, INVALID_REQUEST, message, headers)


class Unavailable(XrpcError):
    """The server could not answer now; asking again later may help."""

    def __init__(self, message: str) -> None:
        """Say what is missing."""
        super().__init__(503, NOT_ENOUGH_RESOURCES, message, {"Retry-After": "5"})
