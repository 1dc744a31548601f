"""The paper's experiment: AlexNet on ILSVRC-2012.

    python -m alexnet_jax.main --config=configs/ilsvrc2012.py --config.data.dir=/path/to/imagenet

Expected (Krizhevsky, Sutskever, Hinton, NIPS 2012, table 2, one CNN, ten views of each
validation image): top-1 error 0.407, top-5 error 0.182. The paper's values are the defaults of all
fields, which docs/config.md lists.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import base_config


def get_config() -> ConfigDict:
    """Return the recipe of the paper."""
    return base_config()
