"""The settings of audio and pictures: what is taken, what is refused and how, and that no secret shows."""

import pytest

from appview.media.settings import MediaSettings, Mirroring
from plyr.media import media_settings
from plyr.outcome import CommandError, ExitCode
from plyr.settings import Settings, read_settings

BUCKET = {
    "PLYR_S3_BUCKET": "music",
    "PLYR_S3_ACCESS_KEY_ID": "key-id",
    "PLYR_S3_SECRET_ACCESS_KEY": "very-secret-key",
    "PLYR_S3_ENDPOINT_URL": "https://account.r2.example.com",
    "PLYR_MEDIA_PUBLIC_URL": "https://cdn.example.com/media/",
    "PLYR_CDN_PURGE_URL": "https://api.example.com/purge",
    "PLYR_CDN_PURGE_TOKEN": "very-secret-token",
}


def settings(**environment: str) -> Settings:
    return read_settings(environment=environment)


def test_without_a_word_what_somebody_plays_is_kept_in_a_folder() -> None:
    found = settings()
    assert found.media.settings == MediaSettings(
        mirroring=Mirroring.ON_PLAY, origins=frozenset({"https://audio.plyr.fm"})
    )
    assert found.media.bucket is None


def test_a_bucket_is_taken_with_its_cdn() -> None:
    found = settings(**BUCKET).media
    assert found.bucket is not None
    assert (found.bucket.bucket, found.bucket.endpoint_url, found.bucket.region) == (
        "music",
        "https://account.r2.example.com",
        "auto",
    )
    assert found.bucket.public_url == "https://cdn.example.com/media"
    assert found.settings.purging is not None
    assert found.settings.purging.url == "https://api.example.com/purge"


def test_no_secret_is_in_any_repr_or_message() -> None:
    found = settings(**BUCKET)
    said = f"{found!r} {found.media!r} {found.scrub('a very-secret-key and a very-secret-token')}"
    assert "very-secret" not in said


def test_the_flag_wins_over_the_variable() -> None:
    found = read_settings(mirror="always", environment={"PLYR_MIRROR": "never"})
    assert found.media.settings.mirroring is Mirroring.ALWAYS
    assert settings(PLYR_MIRROR="NEVER").media.settings.mirroring is Mirroring.NEVER


def test_origins_are_a_list_and_may_be_none() -> None:
    assert settings(PLYR_MEDIA_ORIGINS="https://a.example, https://b.example:8443/").media.settings.origins == {
        "https://a.example",
        "https://b.example:8443",
    }
    assert settings(PLYR_MEDIA_ORIGINS="none").media.settings.origins == frozenset()


def test_the_lexicons_bound_holds_whatever_the_operator_allows() -> None:
    assert media_settings(settings(PLYR_MEDIA_MAX_MB="5000")).max_blob_bytes == 104_857_600
    assert media_settings(settings(PLYR_MEDIA_MAX_MB="7")).max_blob_bytes == 7 * 1024 * 1024


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"PLYR_MIRROR": "sometimes"}, "PLYR_MIRROR"),
        ({"PLYR_MEDIA_DELIVERY": "carrier pigeon"}, "PLYR_MEDIA_DELIVERY"),
        ({"PLYR_MEDIA_MAX_MB": "-1"}, "PLYR_MEDIA_MAX_MB"),
        ({"PLYR_MEDIA_MAX_MB": "5001"}, "PLYR_MEDIA_MAX_MB"),
        ({"PLYR_MEDIA_GRACE_HOURS": "soon"}, "PLYR_MEDIA_GRACE_HOURS"),
        ({"PLYR_MEDIA_ORIGINS": "audio.example.com"}, "PLYR_MEDIA_ORIGINS"),
        ({"PLYR_MEDIA_ORIGINS": "https://audio.example.com/path"}, "PLYR_MEDIA_ORIGINS"),
        ({"PLYR_MEDIA_ORIGINS": "https://user:very-secret@audio.example.com"}, "PLYR_MEDIA_ORIGINS"),
        ({"PLYR_S3_SECRET_ACCESS_KEY": "very-secret-key"}, "PLYR_S3_BUCKET"),
        ({"PLYR_MEDIA_PUBLIC_URL": "https://cdn.example.com"}, "PLYR_S3_BUCKET"),
        ({"PLYR_S3_BUCKET": "music"}, "PLYR_S3_ACCESS_KEY_ID"),
        (BUCKET | {"PLYR_S3_ENDPOINT_URL": "nonsense very-secret"}, "PLYR_S3_ENDPOINT_URL"),
        (BUCKET | {"PLYR_MEDIA_PUBLIC_URL": "https://cdn.example.com/?x=very-secret"}, "PLYR_MEDIA_PUBLIC_URL"),
        ({"PLYR_CDN_PURGE_TOKEN": "very-secret-token"}, "PLYR_CDN_PURGE_URL"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_without_its_text(environment: dict[str, str], named: str) -> None:
    with pytest.raises(CommandError) as refused:
        settings(**environment)
    assert refused.value.code is ExitCode.WRONG_USAGE
    assert named in str(refused.value)
    assert "very-secret" not in str(refused.value)
