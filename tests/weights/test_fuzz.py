"""Damaged files of weights end in one line. For more of them: FUZZ=20000 pytest <this file>."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import files
from tests.support import weight_files
from tests.support.fuzzing import fuzzed
from tests.support.weight_files import caffemodel
from tests.weights.test_files import as_tensorflow

SMALL = {
    name: np.ones((1,) * (value.ndim - 1) + (2,), np.float32)
    for name, value in weight_files.draw_tensors(weight_files.net_of("caffe")).items()
}
HEADER = {"model": '{"arch": "paper"}', "mean": "[1, 2, 3]", "divide_by": "[1, 1, 1]"}
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=8
)


def whole(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "caffemodel":
        return caffemodel(SMALL, old=True)
    if kind == "safetensors":
        return save(SMALL, HEADER)
    if kind == "npy":
        np.save(stream, as_tensorflow(SMALL))
    elif kind == "npz":
        np.savez_compressed(stream, **SMALL)
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(value) for name, value in SMALL.items()}, stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "caffemodel", "pth"])
def test_a_damaged_file_is_read_or_refused_in_one_line(kind, tmp_path):
    good, path = whole(kind), tmp_path / "weights"

    @fuzzed(40)
    @given(EDITS)
    def damage(edits):
        data = good
        for where, length, new in edits:
            at = int(where * len(data))
            data = data[:at] + new + data[at + length :]
        path.write_bytes(data)
        try:
            files.read(path)
        except WeightsError as error:
            assert "\n" not in str(error)  # noqa: PT017

    damage()
