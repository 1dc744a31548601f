"""recycled: memory comes back when nothing can see it any more, and not before."""

import concurrent.futures
import gc

import jax
import numpy as np
import pytest

from alexnet_jax.data.store.recycled import Recycled

SHAPE = (3, 64, 64, 3)


def place(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_it_is_used_again():
    memory = Recycled()
    one = memory.empty(SHAPE)
    assert one.shape == SHAPE and one.dtype == np.uint8 and one.flags.c_contiguous
    assert one.flags.writeable
    where = place(one)
    two = memory.empty(SHAPE)
    assert not np.shares_memory(one, two)
    del one
    assert place(memory.empty(SHAPE)) == where
    other = memory.empty((7, 5))  # another size
    assert other.shape == (7, 5)


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x[1:],
        lambda x: x[1][::2].transpose(1, 0, 2),
        lambda x: x.reshape(-1)[5:].view(np.int8),
        lambda x: memoryview(x),
        lambda x: np.asarray(x)[None, ..., 0],
        lambda x: list(x),
    ],
)
def test_not_while_anything_sees_it(hold):
    memory = Recycled()
    array = memory.empty(SHAPE)
    array[:] = 7
    held = hold(array)
    del array
    gc.collect()
    others = [memory.empty(SHAPE) for _ in range(3)]
    for other in others:
        other[:] = 9
    assert (np.asarray(held) == 7).all()


def test_not_while_a_device_reads_it():
    memory, held = Recycled(), []
    for value in range(20):
        array = memory.empty(SHAPE)
        array[:] = value
        held.append(jax.device_put(array))
        del array
    for value, on_device in enumerate(held):
        assert (np.asarray(on_device) == value).all()


def test_threads():
    memory = Recycled()

    def work(value: int) -> bool:
        array = memory.empty(SHAPE)
        array[:] = value
        part = array[2:]
        del array
        return bool((part == value).all())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    gc.collect()
    assert len(memory._free) <= 8
