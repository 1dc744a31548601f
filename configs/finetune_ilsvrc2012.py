"""Fine-tuning on ILSVRC-2012 after Fall 2011: the second half of the paper's "1 CNN*".

    python -m alexnet_jax.main --config=configs/finetune_ilsvrc2012.py \
        --config.data.dir=/path/to/imagenet --config.init_from=runs/fall2011_pretrain

Expected (layer-params-146-2012-2011.cfg:195, ten views of each validation image): top-1 error
0.38990, top-5 error 0.16622. --config.init_from is the run of fall2011_pretrain.py.
"""

from ml_collections import ConfigDict

from alexnet_jax.run.config import recipe


def get_config() -> ConfigDict:
    """Return the recipe of net 146-2012-2011."""
    config = recipe("ilsvrc2012_code2012")
    config.epochs = 54  # layer-params-146-2012-2011.cfg:193
    # All but the classes, which are others (initw.py).
    config.init_layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc6", "fc7")
    config.data.colour_until = 38  # layer-params-146-2012-2011.cfg:191
    config.model.arch = "six_conv"

    config.optimizer.learning_rate = 0.001  # layer-params-146-2012-2011.cfg:182
    config.schedule.epochs = (22, 42)  # layer-params-146-2012-2011.cfg:190, 192
    config.schedule.layers = (
        ("conv1", 0, 0.1),  # layer-params-146-2012-2011.cfg:182: .0001
        ("conv1", 5, 0.01),  # 187: .00001
        ("conv1", 7, 0.0),  # 188
        ("fc8", 0, 10.0),  # 186: .01, there after 300 batches
        ("fc8", 9, 1.0),  # 189: .001
    )
    return config
