"""The paper's net on any folder of class folders.

    python -m alexnet_jax.main --config=configs/image_folder.py --config.data.dir=/path/to/folder

The folder holds train/<class>/<file> and val/<class>/<file>, or only <class>/<file>, of which
data.validation_fraction is then held out. The number of classes is counted.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import base_config


def get_config() -> ConfigDict:
    """Return the recipe of ilsvrc2012.py for a folder of your own."""
    config = base_config()
    config.data.builder = "image_folder"
    config.model.classes = 0  # 0: as many as the folder has
    config.checkpoint.every_steps = 500
    config.log.every_steps = 20
    config.log.plateau_steps = 500
    return config
