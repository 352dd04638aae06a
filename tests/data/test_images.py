"""Pictures are read upright, bounded before decoding, and damage is one clear error."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from shelfvision.data.images import decode_image, image_size, read_image, stored_size
from shelfvision.errors import DataError
from tests.data.builders import draw

KINDS = {"PNG": {}, "JPEG": {"quality": 95}, "BMP": {}, "WEBP": {"quality": 95}, "TIFF": {}}


def encoded(kind, image, orientation=None, **options):
    made = Image.fromarray(image[..., ::-1])
    if orientation is not None:
        exif = made.getexif()
        exif[274] = orientation
        options["exif"] = exif
    data = io.BytesIO()
    made.save(data, kind, **KINDS[kind], **options)
    return data.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_size_and_pixels(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(kind, draw((90, 61))))
    assert image_size(path) == (90, 61)
    assert np.abs(read_image(path).astype(int) - draw((90, 61))).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "BMP"])
def test_exif_orientation_is_applied_to_size_and_pixels(kind, orientation, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(kind, draw((90, 61)), orientation))
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))[..., ::-1]
    assert image_size(path) == (upright.shape[1], upright.shape[0])
    assert stored_size(path) == (90, 61)
    read = read_image(path)
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "1"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "L"), ("JPEG", "CMYK"),
                       ("BMP", "L"), ("BMP", "1"), ("WEBP", "RGBA"), ("TIFF", "L"), ("PNG", "I;16")]
)  # fmt: skip
def test_every_colour_model_becomes_three_channels_of_eight_bits(kind, mode):
    grey = draw((40, 30))[..., 1]
    image = Image.fromarray(grey.astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(draw((40, 30)))
    data = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(data, kind)
    read = decode_image(data.getvalue())
    assert read.shape == (30, 40, 3)
    assert read.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.98])
def test_a_cut_off_file_is_one_clear_error(kind, share, tmp_path):
    data = encoded(kind, draw((200, 150)))
    path = tmp_path / "cut.picture"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match=r"cut\.picture: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_thumbnails_end_is_not_the_end_of_a_cut_off_picture(tmp_path):
    """Not every release of OpenCV refuses such a file; some fill the rest with grey."""
    thumbnail = encoded("JPEG", draw((16, 16)))
    data = encoded("JPEG", draw((200, 150)))
    path = tmp_path / "cut.jpg"
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path.write_bytes(data[:2] + segment + data[2:-800])
    with pytest.raises(DataError, match="the JPEG file is cut off"):
        read_image(path)
    path.write_bytes(data[:2] + segment + data[2:])
    assert read_image(path).shape == (150, 200, 3)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def bmp_bomb(side):
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + struct.pack("<IiiHHI", 40, side, -side, 1, 24, 1) + bytes(20)


def jpeg_bomb(side):
    good = encoded("JPEG", draw((16, 16)))
    at = good.index(b"\xff\xc0")
    return good[: at + 5] + struct.pack(">HH", side, side) + good[at + 9 :]


def webp_bomb(side):
    canvas = struct.pack("<I", side - 1)[:3]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_bomb(side):
    tags = [(256, 4, 1, side), (257, 4, 1, side)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def tiff_tile_bomb(side):
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (322, 4, 1, side), (323, 4, 1, side)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("bomb", [png_bomb, bmp_bomb, jpeg_bomb, webp_bomb, tiff_bomb, tiff_tile_bomb])
def test_a_picture_bomb_is_refused_before_decoding(bomb, tmp_path, monkeypatch):
    def explode(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", explode)
    path = tmp_path / "bomb"
    path.write_bytes(bomb(15_000))
    with pytest.raises(DataError, match=r"bomb: .* pixels are more than the 50,000,000 allowed"):
        read_image(path)


def test_the_limit_counts_pixels(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG", draw((40, 30))))
    assert read_image(path, max_pixels=1200).shape == (30, 40, 3)
    with pytest.raises(DataError, match="40 x 30 pixels are more than the 1,199 allowed"):
        read_image(path, max_pixels=1199)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "not a picture in PNG, JPEG, BMP, WebP or TIFF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (png_bomb(0), "0 x 0 pixels"),
    ],
)
def test_what_is_no_picture_is_said(data, words, tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=words):
            read(path)


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: no such picture"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="not a file"):
        image_size(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: not a file"):
        read_image(tmp_path / "pipe")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_escapes_as_another_error(kind):
    """Flipped bytes either still decode to the promised size or are a DataError."""
    data = encoded(kind, draw((48, 32)))
    rng = np.random.default_rng(7)
    for _ in range(150):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            broken[place] = rng.integers(256)
        try:
            image = decode_image(bytes(broken), max_pixels=100_000)
        except DataError:
            continue
        assert image.ndim == 3
        assert image.shape[0] * image.shape[1] <= 100_000
