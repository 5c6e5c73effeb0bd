"""Pictures made while the tests run, upright ones and hostile ones. Nothing here imports what it tests."""

import io
import struct
import zlib

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
MEDIA_TYPES = {name: f"image/{name.lower()}" for name in FORMATS}
QUARTERS = {
    "top left": (255, 0, 0),
    "top right": (0, 255, 0),
    "bottom left": (0, 0, 255),
    "bottom right": (255, 255, 0),
}
SECRET = "made at home by Somebody"
# What has to be done to an upright picture so that a viewer who follows the orientation sees it upright again.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quartered(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a picture of four quarters: red, green, blue and yellow, from the top left on."""
    image = Image.new("RGB", (width, height))
    for place, colour in QUARTERS.items():
        left = 0 if place.endswith("left") else width // 2
        top = 0 if place.startswith("top") else height // 2
        image.paste(colour, (left, top, width if left else width // 2, height if top else height // 2))
    return image.convert(mode)


def picture(
    format: str,  # noqa: A002  (its name everywhere)
    width: int = 400,
    height: int = 300,
    *,
    exif_orientation: int | None = None,
    gps: bool = True,
    mode: str = "RGB",
) -> bytes:
    """Return four quarters in one of FORMATS, looking upright whatever the orientation, with a maker and a place in its EXIF."""
    image = quartered(width, height, mode)
    if exif_orientation in _STORED:
        image = image.transpose(_STORED[exif_orientation])
    exif = Image.Exif()
    exif[0x010E] = SECRET
    if exif_orientation is not None:
        exif[0x0112] = exif_orientation
    if gps:
        exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)}
    options = {} if format == "GIF" else {"exif": exif}
    return saved(image, format, **options)


def saved(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002
    """Return an image in a format."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def translucent(format: str, width: int = 200, height: int = 200) -> bytes:  # noqa: A002
    """Return a picture whose left half is red, and whose right half can be seen through."""
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, width // 2, height))
    return saved(image, format, **({"lossless": True} if format == "WEBP" else {}))


def animation(format: str) -> bytes:  # noqa: A002
    """Return three frames: red, green, blue."""
    frames = [Image.new("RGB", (120, 120), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    return saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)


def png(width: int, height: int, *chunks: tuple[bytes, bytes], rows: bytes = b"") -> bytes:
    """Return a PNG made by hand, of any size on paper; `rows` are compressed already."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    every = ((b"IHDR", header), *chunks, (b"IDAT", rows or zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in every)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bomb(width: int = 100_000, height: int = 100_000) -> bytes:
    """Return a few hundred bytes that claim ten thousand million pixels."""
    return png(width, height)


def png_text_bomb(megabytes: int = 200) -> bytes:
    """Return a small picture with texts that unfold into `megabytes`."""
    text = zlib.compress(bytes(1_000_000), 9)
    return png(1, 1, *[(b"zTXt", b"Comment\0\0" + text)] * megabytes, rows=zlib.compress(bytes(4)))


def webp_bomb() -> bytes:
    """Return an animation whose canvas has 268 million pixels, on paper."""
    side = (16_383).to_bytes(3, "little")
    frame = saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    animation_frame = bytes(6) + bytes(6) + bytes(3) + b"\0" + frame
    content = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + side + side
    content += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    content += b"ANMF" + struct.pack("<I", len(animation_frame)) + animation_frame
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content


def gif_bomb() -> bytes:
    """Return a screen of 65,535 by 65,535 pixels in a few bytes."""
    data = bytearray(saved(Image.new("P", (1, 1)), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)
