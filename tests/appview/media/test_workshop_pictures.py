"""Pictures through the workshop: upright, small, without their makers' secrets; and those that would fill the memory refused."""

import asyncio
import io
from pathlib import Path

import pytest
from audio_samples import sample
from picture_samples import (
    FORMATS,
    QUARTERS,
    SECRET,
    animation,
    gif_bomb,
    picture,
    png,
    png_bomb,
    png_text_bomb,
    quartered,
    saved,
    translucent,
    webp_bomb,
)
from PIL import Image, ImageCms

from appview.media.facts import IMAGE_PRESETS, Picture
from appview.media.workshop import MediaRejected, WorkLimits, Workshop, WorkshopFailed

LIMITS = WorkLimits(seconds=60)


async def shown(
    tmp_path: Path, content: bytes, preset: str = "card", mime_type: str = "image/webp", limits: WorkLimits = LIMITS
) -> Image.Image:
    """Return the picture that is written for this content, having compared it with what was said of it."""
    original, target = tmp_path / "original", tmp_path / "target"
    original.write_bytes(content)
    try:
        said = await Workshop(limits=limits).picture(original, target, IMAGE_PRESETS[preset], mime_type)
    except (MediaRejected, WorkshopFailed):
        assert not target.exists()
        raise
    image = Image.open(io.BytesIO(target.read_bytes()))
    image.load()
    assert said == Picture(image.width, image.height, target.stat().st_size, mime_type)
    assert image.get_format_mimetype() == mime_type
    assert not image.getexif()
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)
    assert SECRET.encode() not in target.read_bytes()
    return image


async def refusal(tmp_path: Path, content: bytes, limits: WorkLimits = LIMITS) -> str:
    """Return the word with which a picture is refused."""
    with pytest.raises(MediaRejected) as refused:
        await shown(tmp_path, content, limits=limits)
    return refused.value.reason.partition(": ")[0]


def near(one: object, other: tuple[int, ...], tolerance: int = 12) -> bool:
    """Say whether two colours are the same but for what encoding does."""
    assert isinstance(one, tuple)
    return len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def is_upright(image: Image.Image) -> bool:
    """Say whether the four quarters are where they belong."""
    across, down = image.width // 4, image.height // 4
    corners = ((across, down), (3 * across, down), (across, 3 * down), (3 * across, 3 * down))
    return all(
        near(image.convert("RGB").getpixel(corner), colour)
        for corner, colour in zip(corners, QUARTERS.values(), strict=True)
    )


@pytest.mark.parametrize("mime_type", ["image/webp", "image/jpeg"])
@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_becomes_every_size(tmp_path: Path, name: str, mime_type: str) -> None:
    content = picture(name, 1600, 1200)
    sizes = {"thumb": (96, 96), "card": (320, 320), "cover": (1000, 750), "avatar": (256, 256)}
    assert set(sizes) == set(IMAGE_PRESETS)
    for preset, size in sizes.items():
        image = await shown(tmp_path, content, preset, mime_type)
        assert image.size == size
        assert is_upright(image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
async def test_pictures_are_turned_upright_as_their_exif_says(tmp_path: Path, name: str, orientation: int) -> None:
    image = await shown(tmp_path, picture(name, 300, 200, exif_orientation=orientation), "cover")
    assert image.size == (300, 200)
    assert is_upright(image)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
async def test_an_orientation_that_is_none_turns_nothing(tmp_path: Path, orientation: int) -> None:
    assert is_upright(await shown(tmp_path, picture("JPEG", exif_orientation=orientation)))


async def test_a_large_jpeg_is_read_at_a_fraction_and_still_upright(tmp_path: Path) -> None:
    image = await shown(tmp_path, picture("JPEG", 4000, 3000, exif_orientation=6), "cover")
    assert image.size == (1000, 750)
    assert is_upright(image)


async def test_no_picture_is_made_larger(tmp_path: Path) -> None:
    sizes = {
        (50, 40): {"card": (40, 40), "cover": (50, 40)},
        (3000, 1): {"card": (1, 1), "cover": (1000, 1)},
        (1, 1): {"thumb": (1, 1)},
    }
    for (width, height), expected in sizes.items():
        for preset, size in expected.items():
            assert (await shown(tmp_path, picture("PNG", width, height), preset)).size == size


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF", "AVIF"])
async def test_transparency_is_kept_in_webp_and_white_in_jpeg(tmp_path: Path, name: str) -> None:
    kept = (await shown(tmp_path, translucent(name))).convert("RGBA")
    assert near(kept.getpixel((20, 100)), (255, 0, 0, 255))
    assert kept.getpixel((180, 100))[3] == 0  # type: ignore[index]
    white = await shown(tmp_path, translucent(name), mime_type="image/jpeg")
    assert near(white.getpixel((20, 100)), (255, 0, 0))
    assert near(white.getpixel((180, 100)), (255, 255, 255))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
async def test_the_first_frame_stands_for_an_animation(tmp_path: Path, name: str) -> None:
    image = await shown(tmp_path, animation(name))
    assert not getattr(image, "is_animated", False)
    assert near(image.convert("RGB").getpixel((60, 60)), (255, 0, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
async def test_every_kind_of_png_is_taken(tmp_path: Path, mode: str) -> None:
    image = await shown(tmp_path, picture("PNG", mode=mode))
    assert image.size == (300, 300)
    if mode in ("P", "RGBA"):
        assert is_upright(image)


async def test_sixteen_bits_and_cmyk_keep_their_tones(tmp_path: Path) -> None:
    grey = await shown(tmp_path, saved(Image.new("I;16", (200, 200), 40_000), "PNG"))
    assert near(grey.convert("RGB").getpixel((9, 9)), (156, 156, 156), 2)
    assert is_upright(await shown(tmp_path, picture("JPEG", mode="CMYK")))


async def test_colours_are_brought_to_srgb(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    broken = (profile, b"no profile", b"\0" * 128)
    for given in broken:  # what cannot be used is left out
        assert is_upright(await shown(tmp_path, picture_with_profile(given)))
    swapped = swapped_primaries()
    image = await shown(tmp_path, picture_with_profile(swapped))
    assert near(image.convert("RGB").getpixel((40, 40)), (0, 0, 255), 40)


def picture_with_profile(profile: bytes) -> bytes:
    """Return the quarters with a colour profile."""
    return saved(quartered(300, 300), "PNG", icc_profile=profile)


def swapped_primaries() -> bytes:
    """Return the profile of sRGB with the places of red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("made", [png_bomb, webp_bomb, gif_bomb, lambda: png(20_001, 1), lambda: png(1, 20_001)])
async def test_too_many_pixels_are_refused_before_any_is_decoded(tmp_path: Path, made: object) -> None:
    assert callable(made)
    content = made()
    assert len(content) < 1000
    assert await refusal(tmp_path, content) == "too-many-pixels"


async def test_the_cap_on_pixels_is_the_callers(tmp_path: Path) -> None:
    content = picture("JPEG", 101, 100)
    assert await refusal(tmp_path, content, WorkLimits(seconds=60, pixels=10_000)) == "too-many-pixels"
    assert (await shown(tmp_path, content, limits=WorkLimits(seconds=60, pixels=10_100))).size == (100, 100)


async def test_memory_time_and_output_are_capped(tmp_path: Path) -> None:
    large = saved(Image.new("RGBA", (6300, 6300)), "PNG")
    assert await refusal(tmp_path, large, WorkLimits(seconds=60, memory_bytes=250_000_000)) == "too-expensive"
    assert await refusal(tmp_path, large, WorkLimits(seconds=0.01)) == "too-expensive"
    assert await refusal(tmp_path, picture("PNG"), WorkLimits(seconds=60, output_bytes=100)) == "too-expensive"
    assert (await shown(tmp_path, large)).size == (320, 320)


async def test_texts_that_unfold_are_bounded(tmp_path: Path) -> None:
    content = png_text_bomb()
    assert len(content) < 300_000
    assert await refusal(tmp_path, content) in ("broken", "too-expensive")


@pytest.mark.parametrize("name", FORMATS)
async def test_damaged_pictures_end_in_a_refusal_or_a_picture(tmp_path: Path, name: str) -> None:
    content = picture(name, 400, 300)
    assert await refusal(tmp_path, content[: len(content) // 2]) == "broken"
    workshop = Workshop(processes=2, limits=LIMITS)

    async def outcome(place: int) -> str:
        original, target = tmp_path / f"original-{place}", tmp_path / f"target-{place}"
        original.write_bytes(content[:place] + bytes((content[place] ^ 0xFF,)) + content[place + 1 :])
        try:
            await workshop.picture(original, target, IMAGE_PRESETS["thumb"], "image/webp")
        except MediaRejected as rejected:
            assert not target.exists()
            return rejected.reason.partition(": ")[0]
        return "written"

    outcomes = await asyncio.gather(*(outcome(place) for place in range(12, len(content), len(content) // 8)))
    assert set(outcomes) <= {"written", "broken", "not-picture", "too-many-pixels", "too-expensive"}


async def test_what_is_no_picture_of_ours_is_refused(tmp_path: Path) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    for content in (b"", svg, saved(quartered(20, 20), "TIFF"), saved(quartered(20, 20), "BMP"), sample("mp3", 0.1)):
        assert await refusal(tmp_path, content) == "not-picture"
    assert await refusal(tmp_path, b"\xff\xd8\xff\xe0" + picture("PNG")) == "broken"


async def test_only_webp_and_jpeg_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image/png"):
        await Workshop().picture(tmp_path / "original", tmp_path / "target", IMAGE_PRESETS["card"], "image/png")
    with pytest.raises(WorkshopFailed):
        await Workshop().picture(tmp_path / "missing", tmp_path / "target", IMAGE_PRESETS["card"], "image/webp")
