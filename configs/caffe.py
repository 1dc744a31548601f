"""Caffe's AlexNet (bvlc_alexnet) on ILSVRC-2012.

    python -m alexnet_jax.main --config=configs/caffe.py --config.data.dir=/path/to/imagenet

Expected (Caffe, models/bvlc_alexnet/readme.md, the centre of each validation image): top-1 error
0.429, top-5 error 0.198. That was after 360,000 of the 450,000 iterations. Numbers are from its
solver.prototxt (S), train_val.prototxt (T) and its page on ImageNet (I); its 1.28 million images
are 5,005 iterations an epoch.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import base_config


def get_config() -> ConfigDict:
    """Return the recipe of bvlc_alexnet."""
    config = base_config()
    config.epochs = 90  # S: max_iter 450000
    config.batch_size = 256  # T: batch_size
    config.model.arch = "caffe"

    config.data.resize = "warp"  # I: convert -resize 256x256\!
    config.data.resize_filter = "lanczos"  # ImageMagick's, of pictures that shrink
    config.data.mean = "image"  # T: mean_file; of this training set, unless data.mean is "file"
    config.data.colour = False  # T: transform_param has crop, mirror and mean alone

    config.optimizer.learning_rate = 0.01  # S: base_lr
    config.optimizer.bias_learning_rate = 0.02  # T: lr_mult 2
    config.optimizer.bias_drops = True  # a multiplier: they drop with the weights
    config.optimizer.momentum = 0.9  # S: momentum
    config.optimizer.weight_decay = 0.0005  # S: weight_decay
    config.optimizer.decay_biases = False  # T: decay_mult 0

    config.schedule.kind = "epochs"
    config.schedule.epochs = (20, 40, 60, 80)  # S: stepsize 100000
    config.schedule.factor = 0.1  # S: gamma
    return config
