"""Steps and epochs, against a walk through the images one by one."""

import pytest

from alexnet_jax.step.epochs import Epochs


@pytest.mark.parametrize(("images", "batch"), [(42, 8), (8, 42), (40, 8), (1, 1), (13, 13)])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_an_epoch_ends_with_the_step_that_sees_its_last_image(images, batch, every):
    epochs = Epochs(images, batch, 7, every)
    last = -(-7 * images // batch)
    assert epochs.steps == last
    for step in range(1, last + 1):
        seen, before = step * batch, (step - 1) * batch
        ended = [n for n in range(1, 8) if before < n * images <= seen]
        assert epochs.done(step) == seen // images
        assert epochs.passed(step) == pytest.approx(seen / images, abs=5e-5)
        wanted = bool(ended) and (seen // images % every == 0 or step == last)
        assert epochs.validates(step) == wanted
    assert not epochs.validates(0)
