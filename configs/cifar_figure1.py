"""The four-layer net of figure 1 on CIFAR-10: ReLU against tanh (paper 3.1).

    python -m alexnet_jax.main --config=cifar_figure1 --config.data.dir=/path/to/cifar-10
    python -m alexnet_jax.main --config=cifar_figure1 --config.data.dir=/path/to/cifar-10 \
        --workdir=runs/tanh --config.model.activation=tanh \
        --config.optimizer.learning_rate=0.01 --config.optimizer.bias_learning_rate=0.02

Expected (paper 3.1): with ReLUs the training error falls to 0.25 about six times sooner than with
tanh, each with the learning rate that makes it fastest, without regularization of any kind. Of the
rates that we tried, the fastest are 0.003 for ReLU and 0.01 for tanh; ReLU is then 7.6 times as
fast (experiments/records/cifar10).
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import recipe


def get_config() -> ConfigDict:
    """Return the recipe of cifar18 without normalization and weight decay."""
    config = recipe("cifar18")
    config.epochs = 60
    config.model.arch = "cifar_figure1"
    config.optimizer.learning_rate = 0.003
    config.optimizer.bias_learning_rate = 0.006
    config.optimizer.weight_decay = 0.0
    config.optimizer.layer_weight_decay = ()
    config.schedule.epochs = ()
    config.log.every_steps = 78  # a fifth of an epoch
    return config
