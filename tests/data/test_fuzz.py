"""Damaged pictures and archives end in one line. More of them: FUZZ=20000 pytest <this file>."""

import io
import struct
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from alexnet_jax.data.decode.images import BadImageError, to_square
from alexnet_jax.data.sources.tar_images import images_of
from alexnet_jax.errors import DataError
from tests.support.fuzzing import fuzzed
from tests.support.zoo import encoded, halves

EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8)), max_size=6)


def edited(data: bytes, edits: list, part: float = 1.0) -> bytes:
    """The first `part` of the data with some bytes replaced."""
    for where, length, new in edits:
        at = int(where * part * len(data))
        data = data[:at] + new + data[at + length :]
    return data


SMALL = halves(48, 40)
PICTURES = {
    "baseline": encoded(SMALL, "JPEG"),
    "progressive": encoded(SMALL, "JPEG", progressive=True),
    "CMYK": encoded(SMALL.convert("CMYK"), "JPEG"),
    **{kind: encoded(SMALL, kind) for kind in ("PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")},
}


@fuzzed(40)
@given(st.sampled_from(sorted(PICTURES)), EDITS, st.sampled_from([0.3, 1.0]))
def test_a_damaged_picture_is_read_or_refused_in_one_line(kind, edits, part):
    try:
        assert to_square(edited(PICTURES[kind], edits, part), "x.jpg").shape == (256, 256, 3)
    except BadImageError as error:
        assert "\n" not in str(error)  # noqa: PT017


def archive(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name in ("a.jpg", "d" * 90 + "/b.jpg", "na\u00efve.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


ARCHIVES = [archive(f) for f in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
FIELDS = st.sampled_from([0, 124, 136, 156, 157, 257, 345, 386, 483])  # of a header
VALUES = st.binary(max_size=8) | st.sampled_from(
    [
        b"\xff" * 12,
        b"\x80" + b"\x7f" * 11,
        b"-1",
        b"S",
        b"x",
        b"g",
        b"L",
        b"9" * 11,
        b"13 size=-5\n",
    ]
)


@fuzzed(40)
@given(
    st.sampled_from(ARCHIVES),
    st.lists(st.tuples(st.integers(0, 9), FIELDS, VALUES, st.booleans()), min_size=1, max_size=4),
)
def test_a_damaged_archive_is_listed_or_refused_in_one_line(tmp_path_factory, whole, edits):
    data = bytearray(whole)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    for which, field, value, checksum in edits:
        start = headers[which % len(headers)]
        data[start + field : start + field + len(value)] = value
        if checksum:  # else tarfile refuses the header at once
            data[start + 148 : start + 156] = b" " * 8
            total = sum(data[start : start + 512])
            data[start + 148 : start + 156] = struct.pack("8s", b"%06o\0 " % total)
    path = tmp_path_factory.getbasetemp() / "fuzzed.tar"
    path.write_bytes(data)
    try:
        images_of(path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
