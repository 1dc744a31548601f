"""torchvision's AlexNet on ILSVRC-2012.

    python -m alexnet_jax.main --config=configs/torchvision.py --config.data.dir=/path/to/imagenet

Expected (torchvision, AlexNet_Weights.IMAGENET1K_V1, the centre of each validation image): top-1
error 0.43478, top-5 error 0.20934. There, random crops come from the original file; here from its
prepared 256x256. Numbers are from torchvision's references/classification: README.md (R),
train.py (T) and presets.py (P).
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import base_config


def get_config() -> ConfigDict:
    """Return the recipe of torchvision's alexnet."""
    config = base_config()
    config.epochs = 90  # T: --epochs
    config.batch_size = 256  # R: 8 devices; T: --batch-size 32
    config.model.arch = "owt"

    config.data.resize_filter = "bilinear"  # P: Resize(256), CenterCrop(224) at test
    config.data.mean = "values"
    config.data.mean_values = (123.675, 116.28, 103.53)  # P: 255 * (.485, .456, .406)
    config.data.divide_by = (58.395, 57.12, 57.375)  # P: 255 * (.229, .224, .225)
    config.data.crop_form = "resized"  # P: RandomResizedCrop
    config.data.colour = False  # P: none

    config.optimizer.learning_rate = 0.01  # R: --lr 1e-2
    config.optimizer.momentum = 0.9  # T: --momentum
    config.optimizer.weight_decay = 0.0001  # T: --weight-decay
    config.optimizer.decay_biases = True  # T: all parameters alike
    config.optimizer.rate_form = "outside"  # torch.optim.SGD

    config.schedule.kind = "epochs"
    config.schedule.epochs = (30, 60)  # T: --lr-step-size 30
    config.schedule.factor = 0.1  # T: --lr-gamma
    return config
