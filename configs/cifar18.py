"""cuda-convnet's net of 18 % on CIFAR-10, without augmentation (layers-18pct.cfg).

    python -m alexnet_jax.main --config=cifar18 --config.data.dir=/path/to/cifar-10

The folder holds cifar-10-binary.tar.gz or cifar-10-python.tar.gz, unpacked or not (docs/data.md).

Expected (the first line of layers-18pct.cfg): a test error of 0.18. This recipe gave 0.178, after
0.59, 0.34 and 0.24 at epochs 1, 10 and 40 (one seed), at 40 to 60 s an epoch on one core of an AMD
EPYC with AVX-512. Numbers are from layer-params-18pct.cfg (P). No file says how long the last rate
runs: here 10 epochs, as in Caffe's cifar10_full. The program's batches were the same in every
epoch; ours are drawn anew.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import base_config


def get_config() -> ConfigDict:
    """Return the recipe of cuda-convnet's layers-18pct.cfg."""
    config = base_config()
    config.epochs = 140
    config.model.arch = "cifar18"
    config.data.builder = "cifar10"
    config.data.size = 32
    config.data.storage = "raw"
    config.data.crop = False
    config.data.flip = False
    config.data.colour = False

    config.optimizer.learning_rate = 0.001  # P: epsW
    config.optimizer.bias_learning_rate = 0.002  # P: epsB
    config.optimizer.weight_decay = 0.004  # P: wc of the convolutions
    config.optimizer.layer_weight_decay = (("fc8", 1.0),)  # P: wc of fc10

    config.schedule.kind = "epochs"
    config.schedule.epochs = (120, 130)  # P: a tenth after 120 epochs, and again after 10 more
    config.checkpoint.every_steps = 0
    return config
