"""Errors as clients see them: a status, a name for programs, a message for people.

A name is one that the method's lexicon declares, or one of the generic set below; the server refuses to send
any other. Messages never carry the text of an exception. Source: https://atproto.com/specs/xrpc#error-responses
"""

import math
from collections.abc import Mapping
from typing import Final

from atprotocol.service_auth import (
    BAD_JWT,
    BAD_JWT_AUDIENCE,
    BAD_JWT_ISS,
    BAD_JWT_LEXICON_METHOD,
    BAD_JWT_SIGNATURE,
    BAD_JWT_TYPE,
    JWT_EXPIRED,
)

INVALID_REQUEST = "InvalidRequest"
METHOD_NOT_IMPLEMENTED = "MethodNotImplemented"
PAYLOAD_TOO_LARGE = "PayloadTooLarge"
UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
RATE_LIMIT_EXCEEDED = "RateLimitExceeded"
INTERNAL_SERVER_ERROR = "InternalServerError"
NOT_ENOUGH_RESOURCES = "NotEnoughResources"
UPSTREAM_FAILURE = "UpstreamFailure"
AUTHENTICATION_REQUIRED = "AuthenticationRequired"
MISSING_JWT = "MissingJwt"
INVALID_TOKEN = "InvalidToken"  # noqa: S105  (a name, not a secret)
ACCOUNT_TAKEDOWN = "AccountTakedown"

# The generic set, and the statuses that go with the names. What a lexicon declares is 400.
GENERIC_ERRORS_OF: Final[Mapping[int, tuple[str, ...]]] = {
    400: (INVALID_REQUEST,),
    401: (
        AUTHENTICATION_REQUIRED,
        MISSING_JWT,
        INVALID_TOKEN,
        BAD_JWT,
        BAD_JWT_AUDIENCE,
        BAD_JWT_ISS,
        BAD_JWT_LEXICON_METHOD,
        BAD_JWT_SIGNATURE,
        BAD_JWT_TYPE,
        JWT_EXPIRED,
    ),
    403: (ACCOUNT_TAKEDOWN,),
    405: (INVALID_REQUEST,),
    413: (PAYLOAD_TOO_LARGE,),
    415: (UNSUPPORTED_MEDIA_TYPE,),
    429: (RATE_LIMIT_EXCEEDED,),
    500: (INTERNAL_SERVER_ERROR,),
    501: (METHOD_NOT_IMPLEMENTED,),
    502: (UPSTREAM_FAILURE,),
    503: (NOT_ENOUGH_RESOURCES,),
}
GENERIC_ERRORS: Final = frozenset(name for names in GENERIC_ERRORS_OF.values() for name in names)


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


class UpstreamFailure(XrpcError):
    """Somebody whom we had to ask did not answer; asking us again later may help."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        """Say who, and how long they want to be left alone."""
        wait = 5 if retry_after_seconds is None else max(1, math.ceil(min(retry_after_seconds, 3600)))
        super().__init__(502, UPSTREAM_FAILURE, message, {"Retry-After": str(wait)})


class Unauthorized(XrpcError):
    """Whoever asks has not proved who it is."""

    def __init__(self, error: str, message: str, reason: str = "invalid_token") -> None:
        """Name the error and say what is wrong; `reason` is the word of RFC 6750 for it, empty where nothing was sent."""
        challenge = f'Bearer error="{reason}", error_description="{message}"' if reason else "Bearer"
        super().__init__(401, error, message, {"WWW-Authenticate": challenge})
