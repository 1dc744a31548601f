"""The model of a step on many devices, against cases computed by hand."""

import jax
import pytest

from alexnet_jax.errors import ConfigError
from experiments.communication import scaling
from experiments.communication import scaling_check as check
from experiments.communication.hlo_collectives import Collective
from experiments.communication.scaling import Link, Work

LINK = Link(rate=25e9, latency=1e-5)
GRADIENTS = 4 * 60_965_224  # bytes


def test_a_line_through_two_steps():
    work = scaling.work_of({1024: 0.0225, 128: 0.0045})
    assert work.per_image == pytest.approx(0.018 / 896)
    assert work.seconds(128) == pytest.approx(0.0045)
    assert work.seconds(1024) == pytest.approx(0.0225)


def test_two_devices_with_half_the_batch_each():
    # Each receives half of the sums of the other's, and the other half: all of them once.
    assert scaling.gradients(2, 1, LINK, LINK) == pytest.approx(GRADIENTS / 25e9 + 2e-5)
    work = Work(fixed=0.002, per_image=1e-5)
    seconds = scaling.step(work, 128, 2, 1, "float32", LINK, LINK)
    assert seconds == pytest.approx(0.002 + 64e-5 + GRADIENTS / 25e9 + 2e-5)


def test_two_devices_as_columns():
    work = Work(fixed=0.002, per_image=1e-5)
    seconds = scaling.step(work, 128, 1, 2, "float32", LINK, LINK)
    crossing = 128 * 230_304 / 25e9 + 7e-5
    assert seconds == pytest.approx((0.002 + 128e-5) / 2 + crossing)


def test_columns_stop_paying_where_they_receive_as_much():
    # docs/distributed.md: 1,059 images in float32, 2,081 in bfloat16, latency not counted.
    fast = Link(LINK.rate, 0.0)
    for dtype, images in (("float32", 1059), ("bfloat16", 2081)):
        reduced = scaling.gradients(2, 1, fast, fast)
        assert scaling.columns(images - 1, dtype, fast) < reduced
        assert scaling.columns(images + 1, dtype, fast) > reduced


def test_machines_of_eight():
    # 16 parts of the batch, both columns on each device: a ring of eight in each of two machines,
    # and every device sends an eighth to the other machine and receives one.
    slow = Link(rate=5e9, latency=1e-4)
    seconds = scaling.gradients(16, 1, LINK, slow)
    inside = 14 * (GRADIENTS / 8 / 25e9 + 1e-5)
    assert seconds == pytest.approx(inside + GRADIENTS / 8 / 5e9 + 2e-4)
    # With columns a machine has four parts of the batch, and a column has half of the gradients.
    half = GRADIENTS / 2
    seconds = scaling.gradients(8, 2, LINK, slow)
    assert seconds == pytest.approx(6 * (half / 4 / 25e9 + 1e-5) + half / 4 / 5e9 + 2e-4)


def test_what_is_no_pair_of_steps_is_refused():
    assert scaling.steps_of("128:3.3,1024:24", "float32") == {128: 0.0033, 1024: 0.024}
    for text in ("128:3.3", "3.3,24", "a:b,c:d"):
        with pytest.raises(ConfigError, match="two steps"):
            scaling.steps_of(text, "float32")


def test_the_faster_mesh():
    work = Work(fixed=0.0, per_image=1e-5)
    slow, fast = Link(1e9, 0.0), Link(1e15, 0.0)
    # 230,304 bytes an image cost more than half of its work on the slow link.
    assert scaling.best_mesh(work, 10**6, 2, "float32", slow, slow)[1:] == (2, 1)
    assert scaling.best_mesh(work, 128, 2, "float32", slow, slow)[1:] == (1, 2)
    rate, _, _ = scaling.best_mesh(work, 128, 2, "float32", fast, fast)
    assert rate == pytest.approx(200_000, rel=1e-3)
    assert scaling.best_mesh(work, 128, 1024, "float32", fast, fast)[0] == 0


def test_a_link_from_two_sums_of_a_ring():
    # Three exchanges to scatter and three to gather, each of a quarter of the bytes.
    small, large = (scaling.reduction(n, 4, LINK) for n in (check.SMALL, check.LARGE))
    found = check.link_of(4, small, large)
    assert (found.rate, found.latency) == pytest.approx((LINK.rate, LINK.latency))


def test_a_checked_step_is_the_work_of_all_processes_and_what_crosses():
    forms = (("f32", (100,)), ("f32", (25,)))
    made = {
        # Two processes sum 100 and 25 numbers, each array by itself: two exchanges for each.
        (2, 1): [Collective("all-reduce", "", True, 2, 1, forms)],
        # Each receives half of a gathered array, in one exchange.
        (1, 2): [Collective("all-gather", "conv3", False, 2, 1, forms[:1])],
    }
    link = Link(1e6, 1e-3)
    seconds = {f"sum 2 {n}": scaling.reduction(n, 2, link) for n in (check.SMALL, check.LARGE)}
    # 10 ms + 1 ms an image; two parts of a batch of 16 take the 10 ms twice.
    seconds |= {"alone 8": 0.018, "alone 16": 0.026, "2x1": 0.0405 * 2, "1x2": 0.0272}
    steps = check.report(2, seconds, made)["steps"]
    assert steps["2x1"]["work_ms"] == 36 and steps["2x1"]["crossing_ms"] == 4.5
    assert steps["2x1"]["measured_to_model"] == 2 and steps["2x1"]["transfers"] == 2
    assert steps["1x2"]["model_ms"] == 27.2 and steps["1x2"]["measured_to_model"] == 1


def test_groups_of_devices_sum():
    count = jax.device_count()
    total = check.summed(2, 8)()
    assert total.shape == (count // 2, 2) and (total == 2).all()
