"""The released 2012 program's net 145 on ILSVRC-2010: table 1 of the paper.

    python -m alexnet_jax.main --config=configs/ilsvrc2010.py --config.data.dir=/path/to/ilsvrc2010

The folder holds the official files, or train/<wnid>/<file> and val/<wnid>/<file> (docs/data.md).

Expected on the test set (layer-params-145-2010.cfg:178, 180): top-1 error 0.374727, top-5 error
0.169987 with ten views; 0.390247 and 0.182953 with the centre alone.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import recipe


def get_config() -> ConfigDict:
    """Return the recipe of net 145 with the epochs of its run on ILSVRC-2010."""
    config = recipe("ilsvrc2012_code2012")
    config.epochs = 93  # layer-params-145-2010.cfg:176
    config.data.release = "2010"
    config.data.colour_until = 68  # layer-params-145-2010.cfg:173
    config.schedule.epochs = (23, 51, 78)  # layer-params-145-2010.cfg:170, 171, 175
    # layer-params-145-2010.cfg:172, 174. Its biases end with .002 instead of .02 (line 19); since
    # when is written nowhere, so they stay at .02 here.
    config.schedule.layers = (("conv1", 68, 0.1), ("conv1", 72, 0.0))
    return config
