"""A pair of devices that copies zeros, or a part, is found before training."""

import json

import jax
import numpy as np
import pytest

from alexnet_jax.doctor import __main__ as doctor
from alexnet_jax.doctor import devices as examined
from alexnet_jax.errors import DeviceError
from alexnet_jax.net import alexnet


def zeros(x, device):
    return jax.device_put(jax.numpy.zeros_like(x), device)


def late(x, device):
    """The second half of the words does not come."""
    return jax.device_put(x.at[x.size // 2 :].set(0), device)


def one_bit(x, device):
    return jax.device_put(x.at[7].set(x[7] ^ 1), device)


def swapped(x, device):
    return jax.device_put(jax.numpy.roll(x, 1), device)


@pytest.mark.parametrize("fault", [zeros, late, one_bit, swapped])
def test_a_transfer_that_changes_words_is_found(devices, capsys, fault):
    """--devices names a pair that copies zeros, a half, a flipped bit, words out of order."""
    first, second = devices[:2]

    def move(x, device):
        return (fault if x.devices() == {first} else jax.device_put)(x, device)

    numbers = np.arange(1, 5000, dtype=np.uint32)
    bad, good = (
        examined._transfer(numbers, *pair, move) for pair in ((first, second), (second, first))
    )
    assert not bad.right and good.right
    with pytest.raises(DeviceError, match=rf"transfer {first} to {second}.*NCCL_P2P_DISABLE=1"):
        doctor.report_devices([bad, good])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("WRONG: ") and out[1].startswith("right: ") and "GB/s" in out[1]
    assert json.loads(out[-1])["right"] is False


def test_one_device_alone_has_nothing_to_be_compared_with(devices, capsys):
    """--devices on a machine with one GPU says so, and is right."""
    doctor.report_devices(examined.examine(devices[:1]))
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "there is one device, and nothing to compare it with"
    assert json.loads(out[-1]) == {"right": True, "findings": []}


@pytest.mark.slow
def test_whole_devices_are_right(devices, capsys, monkeypatch):
    """On devices that work, logits and gradients of one, two and four are the same."""
    monkeypatch.setattr(examined, "WIDTH", 0.05)
    found = list(examined.examine(devices, megabytes=1))
    doctor.report_devices(found)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["right"] is True
    assert sum(one.what.startswith("transfer ") for one in found) == 12  # ordered pairs of four
    computed = [one.what for one in found if not one.what.startswith("transfer ")]
    assert computed == [
        f"{what} on {of}"
        for of in ("2 devices (data=2, group=1)", "2 devices (data=1, group=2)",
                   "4 devices (data=2, group=2)")
        for what in ("logits", "gradients")
    ]  # fmt: skip
    assert list(examined.examine(devices[:1], megabytes=1)) == []


def test_columns_that_exchange_zeros_are_found(devices, monkeypatch):
    """Where the columns' exchange gives zeros, the logits of two devices are not those of one."""

    def of_zeros(xs, group_axis):
        here = alexnet.jnp.concatenate(xs, axis=-1)
        if group_axis is None:
            return here
        return alexnet.jnp.concatenate([here, alexnet.jnp.zeros_like(here)], axis=-1)

    monkeypatch.setattr(alexnet, "exchange", of_zeros)
    monkeypatch.setattr(examined, "WIDTH", 0.05)
    monkeypatch.setattr(examined, "MESHES", ({"data": 1, "group": 2},))
    found = [one for one in examined.examine(devices[:2], 1) if "group=2" in one.what]
    assert len(found) == 2 and not any(one.right for one in found)
