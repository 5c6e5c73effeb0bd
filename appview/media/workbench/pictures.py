"""Write a small form of a picture: turned upright, in sRGB, cut or shrunk, without anything that its maker did not mean to show.

Only the formats below are ever tried, dimensions are judged before a pixel is decoded, and of an animation the first frame
alone is used. Metadata (EXIF with its places, XMP, colour profiles, comments) ends here. Transparency is kept in WebP
and becomes white in JPEG. Formats: https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html
"""

import io
import os
import struct
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from appview.media.sniffing import HEAD_BYTES, sniff_image
from appview.media.workbench.files import original_and_target
from appview.media.workbench.limits import Caps
from appview.media.workbench.verdicts import Rejected

# What Pillow loads on first use (those two for JPEG and for EXIF) must be there before the process is sealed.
_LOADED = (MpoImagePlugin, TiffImagePlugin)
Image.preinit()
_FORMATS = {
    "image/avif": AvifImagePlugin.AvifImageFile.format,
    "image/gif": GifImagePlugin.GifImageFile.format,
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
}
_ENCODERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "image/jpeg": ("JPEG", {"quality": 85, "optimize": True, "progressive": True}),
    "image/webp": ("WEBP", {"quality": 82, "method": 4}),
}
_MAXIMUM_SIDE = 20_000
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers are known to raise on damaged files, SyntaxError among them.
_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, TypeError, LookupError, AttributeError),
    *(ArithmeticError, RuntimeError, Image.DecompressionBombError, Image.DecompressionBombWarning),
)


def work(job: Mapping[str, Any], caps: Caps) -> Mapping[str, Any]:
    """Write the target and return the fields of Picture. Raises Rejected or Failed."""
    encoder, options = _ENCODERS[job["mime_type"]]
    preset = job["preset"]
    Image.MAX_IMAGE_PIXELS = caps.pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with original_and_target(job["path"], job["target"]) as (source, sink, _):
        picture = _upright(source, preset, caps)
        picture = _fitted(picture, preset["width"], preset["height"], is_cropped=preset["fit"] == "cover")
        picture = _in_srgb(picture)
        if encoder == "JPEG":
            picture = _on_white(picture)
        picture.info.clear()
        encoded = io.BytesIO()
        picture.save(encoded, encoder, **options)
        sink.write(encoded.getbuffer())
        sink.flush()
        size_bytes = os.fstat(sink.fileno()).st_size
    return {"width": picture.width, "height": picture.height, "size_bytes": size_bytes, "mime_type": job["mime_type"]}


def _upright(source: BinaryIO, preset: Mapping[str, Any], caps: Caps) -> Image.Image:
    """Return the decoded first frame, turned as its EXIF says, with its colour profile in `info`."""
    mime_type = sniff_image(source.read(HEAD_BYTES))
    if mime_type is None:
        raise Rejected("not-picture", "its first bytes are those of no picture format that is taken")
    source.seek(0)
    try:
        picture = Image.open(source, formats=[_FORMATS[mime_type] or ""])
        _check_size(picture, caps.pixels)
        # A JPEG is decoded at a fraction of its size where that is still twice what is needed, whichever way up.
        needed = 2 * max(preset["width"], preset["height"])
        picture.draft(picture.mode, (needed, needed))
        picture.load()
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected("too-many-pixels", f"it has more than {caps.pixels} pixels") from error
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and not Pillow's word for a damaged file
        raise Rejected("broken", f"it begins like {mime_type}, but cannot be read as that") from error
    profile = picture.info.get("icc_profile")
    turn = _TURNS.get(_orientation(picture))
    upright = picture.copy() if turn is None else picture.transpose(turn)
    upright.info["icc_profile"] = profile
    return upright


def _check_size(picture: Image.Image, pixels: int) -> None:
    if picture.width * picture.height > pixels or max(picture.size) > _MAXIMUM_SIDE:
        raise Rejected("too-many-pixels", f"it has more than {pixels} pixels, or a side of more than {_MAXIMUM_SIDE}")


def _orientation(picture: Image.Image) -> int:
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except _UNREADABLE:
        return 1  # metadata that cannot be read turns nothing
    return orientation if isinstance(orientation, int) else 1


def _fitted(picture: Image.Image, width: int, height: int, *, is_cropped: bool) -> Image.Image:
    """Return the picture in 8 bits a channel and cut or shrunk, never larger than it was."""
    picture = _in_eight_bits(picture)
    across, down = picture.width / width, picture.height / height
    if not is_cropped:
        scale = max(across, down, 1.0)
        size = (max(1, round(picture.width / scale)), max(1, round(picture.height / scale)))
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    scale = min(across, down)
    cut_width, cut_height = width * scale, height * scale
    left, top = (picture.width - cut_width) / 2, (picture.height - cut_height) / 2
    box = (max(0.0, left), max(0.0, top), min(picture.width, left + cut_width), min(picture.height, top + cut_height))
    shrunk = max(scale, 1.0)
    size = (max(1, round(cut_width / shrunk)), max(1, round(cut_height / shrunk)))
    return picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Return the picture in L, RGB, RGBA or CMYK, whatever it was stored as; the profile goes with it."""
    profile = picture.info.get("icc_profile")
    has_transparency = picture.has_transparency_data
    if picture.mode.startswith("I"):
        # Sixteen bits of grey; a plain conversion would cut off what is above 255.
        converted = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif has_transparency:
        converted = picture.convert("RGBA")
    else:
        converted = picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")
    converted.info["icc_profile"] = profile
    return converted


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Return the picture in RGB or RGBA of sRGB; a profile that cannot be used is ignored."""
    profile = picture.info.get("icc_profile")
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    colours = picture.convert("RGB") if alpha is not None else picture
    converted: Image.Image | None = None
    if isinstance(profile, bytes) and profile:
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(colours, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
    result = converted if converted is not None else colours.convert("RGB")
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, (255, 255, 255))
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
