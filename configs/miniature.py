"""The paper in miniature: the net of small pictures, a quarter as wide, on 50 classes.

    python -m experiments.miniature --data_dir=/path/to/tiny-imagenet-200.zip --out=runs/miniature

This is the recipe of that command's runs; experiments/miniature/protocol.py says which they are.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import recipe


def get_config() -> ConfigDict:
    """Return the recipe of the baseline."""
    config = recipe("quickstart")  # the net, its initial values and its rate
    config.epochs = 24
    config.batch_size = 64
    config.data.builder = "image_folder"
    config.model.classes = 0  # as many as the folder has
    # fc6 reads a sixteenth of the paper's 9216 units: the same signal needs weights four times as
    # large.
    config.model.init.std.fc6 = 0.04
    # Three drops, as the paper had, at the same epochs in every run: a plateau of so few epochs is
    # decided by noise, and two settings would then differ in their number of updates.
    config.schedule.epochs = (15, 20, 23)
    config.mesh.cpu_devices = 1
    config.log.every_steps = 100
    config.log.tensorboard = False
    return config
