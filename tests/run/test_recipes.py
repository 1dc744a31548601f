"""The recipes against golden tables: each parameter's rate, the colours and the data, by epoch.

Lines are those of the released program's layers/layer-params-<net>.cfg, "145:177" for line 177 of
layer-params-145.cfg; of Caffe's bvlc_alexnet and torchvision's references/classification.
"""

import types

import numpy as np
import pytest

from alexnet_jax.data.input.pixel_stats import at_epoch, make_pixel_stats
from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving
from alexnet_jax.run import config as configs
from alexnet_jax.step import schedule

FULLY_CONNECTED = dict.fromkeys(("fc6", "fc7", "bottleneck", "fc8"), (1e-2, 0.02))

# Recipe -> (epochs done, rates of weights and biases, of layers apart, the lines that say so).
RATES: dict[str, list[tuple[int, tuple, dict[str, tuple], str]]] = {
    "ilsvrc2012_code2012": [
        (0, (1e-2, 0.02), {}, "145:169, 19"),
        (24, (1e-2, 0.02), {}, "145:169"),
        (25, (1e-3, 0.02), {}, "145:169"),
        (50, (1e-3, 0.02), {}, "145:174"),
        (51, (1e-4, 0.02), {}, "145:174"),
        (66, (1e-4, 0.02), {}, "145:177"),
        (67, (1e-4, 0.02), {"conv1": (1e-5, 0.02)}, "145:177"),
        (71, (1e-4, 0.02), {"conv1": (1e-5, 0.02)}, "145:179"),
        (72, (1e-4, 0.02), {"conv1": (0, 0)}, "145:179, 3"),
        (78, (1e-4, 0.02), {"conv1": (0, 0)}, "145:180"),
        (79, (1e-5, 0.02), {"conv1": (0, 0)}, "145:180, 18, 19, 2, 3"),
        (90, (1e-5, 0.02), {"conv1": (0, 0)}, "145:181"),
    ],
    "ilsvrc2010": [
        (0, (1e-2, 0.02), {}, "145-2010:170"),
        (22, (1e-2, 0.02), {}, "145-2010:170"),
        (23, (1e-3, 0.02), {}, "145-2010:170"),
        (51, (1e-4, 0.02), {}, "145-2010:171"),
        (67, (1e-4, 0.02), {}, "145-2010:172"),
        (68, (1e-4, 0.02), {"conv1": (1e-5, 0.02)}, "145-2010:172"),
        (72, (1e-4, 0.02), {"conv1": (0, 0)}, "145-2010:174"),
        (77, (1e-4, 0.02), {"conv1": (0, 0)}, "145-2010:175"),
        (78, (1e-5, 0.02), {"conv1": (0, 0)}, "145-2010:175"),
        (92, (1e-5, 0.02), {"conv1": (0, 0)}, "145-2010:176"),
    ],
    "fall2011_pretrain": [
        (0, (1e-3, 0.02), FULLY_CONNECTED, "146-2011:206"),
        (5, (1e-3, 0.02), FULLY_CONNECTED, "146-2011:210"),
        (6, (1e-3, 0.02), {}, "146-2011:210, 2, 3, 138"),
        (7, (1e-3, 0.02), {}, "146-2011:211"),
    ],
    "finetune_ilsvrc2012": [
        (0, (1e-3, 0.02), {"conv1": (1e-4, 0.02), "fc8": (1e-2, 0.02)}, "146-2012-2011:182, 186"),
        (4, (1e-3, 0.02), {"conv1": (1e-4, 0.02), "fc8": (1e-2, 0.02)}, "146-2012-2011:187"),
        (5, (1e-3, 0.02), {"conv1": (1e-5, 0.02), "fc8": (1e-2, 0.02)}, "146-2012-2011:187"),
        (7, (1e-3, 0.02), {"conv1": (0, 0), "fc8": (1e-2, 0.02)}, "146-2012-2011:188"),
        (9, (1e-3, 0.02), {"conv1": (0, 0)}, "146-2012-2011:189"),
        (21, (1e-3, 0.02), {"conv1": (0, 0)}, "146-2012-2011:190"),
        (22, (1e-4, 0.02), {"conv1": (0, 0)}, "146-2012-2011:190"),
        (42, (1e-5, 0.02), {"conv1": (0, 0)}, "146-2012-2011:192, 18, 19"),
        (53, (1e-5, 0.02), {"conv1": (0, 0)}, "146-2012-2011:193"),
    ],
    # base_lr .01, stepsize 100000 at 256 of 1,281,167 images, gamma .1; lr_mult 1 and 2.
    "caffe": [
        (0, (1e-2, 2e-2), {}, "solver base_lr, train_val lr_mult"),
        (19, (1e-2, 2e-2), {}, "solver stepsize"),
        (20, (1e-3, 2e-3), {}, "solver stepsize"),
        (40, (1e-4, 2e-4), {}, "solver stepsize"),
        (60, (1e-5, 2e-5), {}, "solver stepsize"),
        (80, (1e-6, 2e-6), {}, "solver stepsize"),
        (89, (1e-6, 2e-6), {}, "solver max_iter"),
    ],
    "torchvision": [
        (0, (1e-2, 1e-2), {}, "README --lr 1e-2"),
        (29, (1e-2, 1e-2), {}, "train.py --lr-step-size"),
        (30, (1e-3, 1e-3), {}, "train.py --lr-step-size"),
        (60, (1e-4, 1e-4), {}, "train.py --lr-step-size"),
        (89, (1e-4, 1e-4), {}, "train.py --epochs"),
    ],
    "cifar18": [
        (0, (1e-3, 2e-3), {}, "layer-params-18pct: epsW, epsB"),
        (119, (1e-3, 2e-3), {}, "layer-params-18pct: a tenth after 120 epochs"),
        (120, (1e-4, 2e-4), {}, "layer-params-18pct"),
        (130, (1e-5, 2e-5), {}, "layer-params-18pct: and again after 10 more"),
    ],
    "cifar26": [
        (7, (1e-3, 2e-3), {}, "layer-params-80sec, a later copy: a tenth after 8 epochs"),
        (8, (1e-4, 2e-4), {}, "layer-params-80sec"),
    ],
    # The fastest of the rates that were tried: experiments/records/cifar10/figure1.json.
    "cifar_figure1": [
        (0, (3e-3, 6e-3), {}, "figure1.json"),
        (59, (3e-3, 6e-3), {}, "figure1.json"),
    ],
}

# Recipe -> epochs of the run, epochs with colour noise, and the lines.
LENGTHS = {
    "ilsvrc2012_code2012": (91, 67, "145:181, 178"),
    "ilsvrc2010": (93, 68, "145-2010:176, 173"),
    "fall2011_pretrain": (8, 8, "146-2011:211"),
    "finetune_ilsvrc2012": (54, 38, "146-2012-2011:193, 191"),
    "caffe": (90, 0, "max_iter, transform_param"),
    "torchvision": (90, 0, "train.py --epochs"),
}


load = configs.recipe


@pytest.mark.parametrize(
    ("name", "row"), [(name, row) for name, rows in RATES.items() for row in rows]
)
def test_rates_of_each_parameter(name, row):
    epoch, usual, apart, _ = row
    config = load(name)
    layers = [layer.name for layer in resolving.resolve(config.model).layers]
    assert set(apart) <= set(layers)
    found = schedule.learning_rates(config, layers, step=0, epoch=epoch, steps=100, plateau=None)
    for layer in layers:
        pair = (found.weights[layer], found.biases[layer])
        np.testing.assert_allclose(pair, apart.get(layer, usual), rtol=1e-9, err_msg=layer)


def test_weight_decay_of_the_nets_on_cifar():
    decays = {  # wc of layer-params-18pct.cfg, layer-params-80sec.cfg
        "cifar18": (0.004, {"fc8": 1.0}, ["conv1", "conv2", "conv3", "fc8"]),
        "cifar26": (0.004, {"fc7": 0.03, "fc8": 0.03}, ["conv1", "conv2", "conv3", "fc7", "fc8"]),
        "cifar_figure1": (0.0, {}, ["conv1", "conv2", "conv3", "fc8"]),  # paper 3.1: none
    }
    for name, (usual, apart, layers) in decays.items():
        config = load(name)
        configs.check(config)
        assert [layer.name for layer in resolving.resolve(config.model).layers] == layers
        assert config.optimizer.weight_decay == usual
        assert dict(config.optimizer.layer_weight_decay) == apart
        assert not (config.data.crop or config.data.flip or config.data.colour)


def test_a_weight_decay_of_no_layer_is_refused():
    for rows in ((("fc9", 1.0),), (("fc8", -1.0),), (("fc8",),), (("fc8", "much"),), ("fc8",)):
        config = load("cifar18")
        config.optimizer.layer_weight_decay = rows
        with pytest.raises(
            ConfigError, match=r"layer_weight_decay holds rows of .*; got "
        ) as error:
            configs.check(config)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_and_colours(name):
    epochs, coloured, _ = LENGTHS[name]
    config = load(name)
    assert config.epochs == epochs
    statistics = types.SimpleNamespace(
        mean_image=np.zeros((256, 256, 3)), eigenvalues=np.ones(3), eigenvectors=np.eye(3)
    )
    pixel_stats = make_pixel_stats(statistics, config.data)
    for epoch in range(epochs):
        on = config.data.colour and at_epoch(pixel_stats, config.data, epoch)["colour"].any()
        assert bool(on) == (epoch < coloured), epoch


def test_the_programs_data():
    for name in ("ilsvrc2012_code2012", "ilsvrc2010", "fall2011_pretrain", "finetune_ilsvrc2012"):
        config = load(name)
        program = {
            "mean": "centre",  # convdata_jpeg.py:95
            "crop_chunk": 32,  # convdata_jpeg.py:77
            "colour_unit": "deviation",  # convdata_jpeg.py:65
            "colour_std": 0.1,  # 145:178
            "colour_rescale": True,  # convdata_jpeg.py:179
        }
        assert {field: config.data[field] for field in program} == program
        assert (config.batch_size, config.optimizer.weight_decay) == (128, 0.0005)
        assert (config.optimizer.momentum, config.optimizer.rate_form) == (0.9, "inside")
        assert not config.optimizer.decay_biases


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("ilsvrc2012_code2012", "code2012"),
        ("ilsvrc2010", "code2012"),
        ("fall2011_pretrain", "six_conv_fall2011"),
        ("finetune_ilsvrc2012", "six_conv"),
        ("caffe", "caffe"),
        ("torchvision", "owt"),
    ],
)
def test_the_net_is_a_row_of_the_table_unchanged(name, row):
    assert resolving.resolve(load(name).model) == resolving.resolve(resolving.overrides(row))


def test_pretraining_and_fine_tuning_take_what_the_originals_took():
    convolutions = tuple(f"conv{i}" for i in range(1, 7))
    assert load("fall2011_pretrain").init_layers == convolutions  # 146-2011:205
    # 146-2012-2011:181: all but the classes, and the bottleneck that this net has not.
    assert load("finetune_ilsvrc2012").init_layers == (*convolutions, "fc6", "fc7")


def test_caffe():
    config = load("caffe")
    assert (config.batch_size, config.data.mean, config.data.flip) == (256, "image", True)
    assert resolving.resolve(config.model).image_size == 227  # train_val.prototxt: crop_size
    assert (config.optimizer.momentum, config.optimizer.weight_decay) == (0.9, 0.0005)
    assert (config.optimizer.decay_biases, config.optimizer.rate_form) == (False, "inside")


def test_torchvision():
    config = load("torchvision")
    assert (config.batch_size, config.data.crop_form, config.data.flip) == (256, "resized", True)
    np.testing.assert_allclose(config.data.mean_values, 255 * np.array([0.485, 0.456, 0.406]))
    np.testing.assert_allclose(config.data.divide_by, 255 * np.array([0.229, 0.224, 0.225]))
    assert (config.optimizer.momentum, config.optimizer.weight_decay) == (0.9, 0.0001)
    assert (config.optimizer.decay_biases, config.optimizer.rate_form) == (True, "outside")


def test_the_flags_of_net_170_in_the_docstring():
    config = load("ilsvrc2012_code2012")
    config.update_from_flattened_dict(
        {
            "schedule.kind": "dexp",
            "epochs": 95,
            "data.colour_until": 68,  # 170:201
            "schedule.layers": (("conv1", 74, 0.0),),  # 170:203
        }
    )
    for share, rate in ((0.0, 0.01), (0.3, 0.001587), (0.6, 0.000252), (0.9, 0.00004)):  # 170:8
        step = round(share * 1000)
        found = schedule.learning_rates(
            config, ("conv1", "fc8"), step=step, epoch=int(95 * share), steps=1000, plateau=None
        )
        np.testing.assert_allclose(found.weights["fc8"], rate, rtol=5e-4)
        assert found.weights["conv1"] == (0.0 if 95 * share >= 74 else found.weights["fc8"])
