"""Pretraining on all of ImageNet, Fall 2011: the first half of the paper's "1 CNN*".

    python -m alexnet_jax.main --config=configs/fall2011_pretrain.py \
        --config.data.dir=/path/to/fall2011 --config.init_from=runs/fall2009

The folder holds one tar for each synset. The program had 21,843 classes; for another number of
synsets give --config.model.classes=0. Then run finetune_ilsvrc2012.py: only its result is known,
no error is recorded for this run.

The original's convolutions came from a net of 10,184 classes of Fall 2009, whose first five came
from a net 145 in training (layer-params-146-2011.cfg:205, 214). --config.init_from names the run
to take them from; without one they learn slowly, since their rate is .001. To take them from a net
with five convolutions: "--config.init_layers=('conv1', 'conv2', 'conv3', 'conv4', 'conv5')".
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import recipe

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")


def get_config() -> ConfigDict:
    """Return the recipe of net 146-2011."""
    config = recipe("ilsvrc2012_code2012")
    config.epochs = 8  # layer-params-146-2011.cfg:211: killed in its 8th pass (8.11295)
    config.init_layers = CONVOLUTIONS  # layer-params-146-2011.cfg:205
    config.data.release = "fall2011"
    config.data.max_bad_fraction = 0.001  # some of its files are not images
    config.data.colour_until = 0  # layer-params-146-2011.cfg does not say that the noise ended
    config.model.arch = "six_conv_fall2011"

    # layer-params-146-2011.cfg:206, 210: .01 until epoch 6, then .001; convolutions .001 all along.
    # The biases of its conv6 had .002 (line 83); here they have .02 like all others.
    config.schedule.epochs = (6,)
    config.schedule.layers = tuple(
        (layer, *row) for layer in CONVOLUTIONS for row in ((0, 0.1), (6, 1.0))
    )
    return config
