"""gzip_file: the same bytes at any offset, as gzip gives them."""

import gzip
import zlib

import numpy as np
import pytest

from alexnet_jax.data.sources import gzip_file

CONTENT = np.random.default_rng(0).bytes(300_000) + bytes(200_000) + b"end" * 1000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(gzip_file, "_BLOCK", 50_000)
    monkeypatch.setattr(gzip_file, "_PIECE", 10_000)


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(CONTENT),
        gzip.compress(CONTENT[:170_000]) + gzip.compress(CONTENT[170_000:]),
        gzip.compress(CONTENT, 1) + bytes(5000),
        gzip.compress(b""),
    ],
    ids=["one", "several", "padded", "empty"],
)
def test_any_part_is_that_of_the_whole(tmp_path, packed):
    (tmp_path / "x.gz").write_bytes(packed)
    file = gzip_file.GzipFile(tmp_path / "x.gz")
    content = gzip.decompress(packed)
    assert b"".join(file.pieces()) == content and file.size == len(content)
    rng = np.random.default_rng(1)
    for offset, size in rng.integers(0, [len(content) + 1, 130_000], (60, 2)).tolist():
        assert file.read(offset, size) == content[offset : offset + size]


@pytest.mark.parametrize("keep", [20, 100_000, -1])
def test_a_file_that_is_cut_or_damaged_is_an_error(tmp_path, keep):
    packed = bytearray(gzip.compress(CONTENT))
    (tmp_path / "cut.gz").write_bytes(packed[:keep])
    packed[150_000] ^= 1
    (tmp_path / "bad.gz").write_bytes(packed)
    for name in ("cut.gz", "bad.gz"):
        with pytest.raises((EOFError, zlib.error)):
            list(gzip_file.GzipFile(tmp_path / name).pieces())
