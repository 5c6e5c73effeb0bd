"""The operator's settings of audio and pictures: where bytes are kept, whether they are fetched, and whose URLs are believed.

Without a bucket they are kept in a folder beside the database. What is wrong is refused with the name of the variable;
the keys of the bucket and the token of the CDN are in no repr and in no message.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from appview.media.settings import MediaSettings, Mirroring, Purging
from plyr.outcome import CommandError, ExitCode

# Where the records of the first years have their audio.
DEFAULT_ORIGINS = "https://audio.plyr.fm"
_DEFAULT_GRACE_HOURS = "168"
_LARGEST_MEGABYTES = 5000
_LONGEST_GRACE_HOURS = 24 * 365


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """A bucket of R2, or of anything that speaks S3; `public_url` is the CDN in front of it."""

    bucket: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    endpoint_url: str | None = None
    region: str = "auto"
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class MediaChoice:
    """What an operator chose; without `bucket` bytes are kept in `folder`, or beside the database."""

    settings: MediaSettings = field(default_factory=MediaSettings)
    bucket: BucketSettings | None = None
    folder: Path | None = None


def read_media_choice(value: Callable[[str, str | None], str | None], mirror: str | None) -> MediaChoice:
    """Return the choice; `value` gives a variable or its default, `mirror` is the flag.

    Raises CommandError.
    """
    purge_url, purge_token = value("PLYR_CDN_PURGE_URL", None), value("PLYR_CDN_PURGE_TOKEN", None)
    if (purge_url is None) != (purge_token is None):
        raise _wrong("PLYR_CDN_PURGE_URL and PLYR_CDN_PURGE_TOKEN are given together or not at all")
    purging = (
        None
        if purge_url is None
        else Purging(_origin(purge_url, "PLYR_CDN_PURGE_URL", has_path=True), purge_token or "")
    )
    folder = value("PLYR_MEDIA_DIR", None)
    most = _number(value("PLYR_MEDIA_MAX_MB", "100"), "PLYR_MEDIA_MAX_MB", _LARGEST_MEGABYTES)
    grace = _number(
        value("PLYR_MEDIA_GRACE_HOURS", _DEFAULT_GRACE_HOURS), "PLYR_MEDIA_GRACE_HOURS", _LONGEST_GRACE_HOURS
    )
    origins = (value("PLYR_MEDIA_ORIGINS", DEFAULT_ORIGINS) or "").replace(",", " ").split()
    settings = MediaSettings(
        mirroring=_mirroring(mirror or value("PLYR_MIRROR", Mirroring.ON_PLAY) or ""),
        origins=frozenset(_origin(each, "PLYR_MEDIA_ORIGINS") for each in origins if each != "none"),
        max_blob_bytes=most * 1024 * 1024,
        redirects=_delivery(value("PLYR_MEDIA_DELIVERY", "redirect") or ""),
        grace_seconds=grace * 3600.0,
        purging=purging,
    )
    return MediaChoice(settings, _bucket(value), Path(folder).expanduser().absolute() if folder else None)


def secrets_of(choice: MediaChoice) -> tuple[str | None, ...]:
    """Return what must stand in no line."""
    purging, bucket = choice.settings.purging, choice.bucket
    return (
        None if purging is None else purging.token,
        None if bucket is None else bucket.secret_access_key,
    )


def _bucket(value: Callable[[str, str | None], str | None]) -> BucketSettings | None:
    bucket = value("PLYR_S3_BUCKET", None)
    key_id, secret = value("PLYR_S3_ACCESS_KEY_ID", None), value("PLYR_S3_SECRET_ACCESS_KEY", None)
    endpoint, public_url = value("PLYR_S3_ENDPOINT_URL", None), value("PLYR_MEDIA_PUBLIC_URL", None)
    if bucket is None:
        if key_id or secret or endpoint or public_url:
            raise _wrong(
                "PLYR_S3_BUCKET is missing: the other settings of S3, and PLYR_MEDIA_PUBLIC_URL, are of a bucket"
            )
        return None
    if key_id is None or secret is None:
        raise _wrong("PLYR_S3_BUCKET needs PLYR_S3_ACCESS_KEY_ID and PLYR_S3_SECRET_ACCESS_KEY")
    return BucketSettings(
        bucket=bucket,
        access_key_id=key_id,
        secret_access_key=secret,
        endpoint_url=None if endpoint is None else _origin(endpoint, "PLYR_S3_ENDPOINT_URL"),
        region=value("PLYR_S3_REGION", "auto") or "auto",
        public_url=None if public_url is None else _origin(public_url, "PLYR_MEDIA_PUBLIC_URL", has_path=True),
    )


def _mirroring(text: str) -> Mirroring:
    try:
        return Mirroring(text.lower())
    except ValueError:
        raise _wrong(f"--mirror (PLYR_MIRROR) is one of {', '.join(Mirroring)}") from None


def _delivery(text: str) -> bool:
    if text.lower() not in ("redirect", "stream"):
        raise _wrong("PLYR_MEDIA_DELIVERY is redirect (to the CDN or the bucket, where there is one) or stream")
    return text.lower() == "redirect"


def _number(text: str | None, where: str, most: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or int(text[:9]) > most:
        raise _wrong(f"{where} is a whole number, {most} at most")
    return int(text)


def _origin(text: str, where: str, *, has_path: bool = False) -> str:
    """Return a URL as an origin, or with a path; its text is not repeated in an error."""
    try:
        parts = urlsplit(text)
        is_right = (
            parts.scheme in ("https", "http") and bool(parts.hostname) and parts.username is None and parts.port != 0
        )
    except ValueError:
        is_right = False
    if not is_right or parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise _wrong(f"{where} takes URLs like https://media.example.com, without user, query and fragment")
    if parts.path not in ("", "/") and not has_path:
        raise _wrong(f"{where} takes origins alone: https://HOST[:PORT], without a path")
    return text.rstrip("/")


def _wrong(message: str) -> CommandError:
    return CommandError(message, ExitCode.WRONG_USAGE)
