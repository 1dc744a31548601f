"""net: the table, what a config may change in it, and what is refused."""

import dataclasses

import pytest

from alexnet_jax.errors import ConfigError
from alexnet_jax.net import resolving, variants
from alexnet_jax.net.resolving import architecture


def resolve(found=None, **fields):
    """Resolve with fields set; lrn__n stands for lrn.n."""
    model = resolving.overrides("paper")
    for name, value in fields.items():
        *sections, last = name.split("__")
        section = model
        for part in sections:
            section = section[part]
        section[last] = value
    return resolving.resolve(model, found)


def test_an_untouched_config_is_the_papers_row():
    paper = resolve()
    assert paper == dataclasses.replace(variants.ARCHITECTURES["paper"], drop_layers=())


def test_the_papers_numbers():
    paper = resolve()
    lrn, init = paper.lrn, paper.init
    assert (lrn.n, lrn.k, lrn.alpha, lrn.beta) == (5, 2.0, 1e-4, 0.75)  # 3.3
    assert (lrn.enabled, lrn.alpha_over_n, lrn.scope) == (True, False, "column")
    assert (paper.pool.window, paper.pool.stride) == (3, 2)  # 3.4
    assert paper.dropout.rate == 0.5  # 4.2
    assert paper.activation == "relu" and paper.norm == "lrn"
    assert (paper.columns, paper.classes, paper.image_size) == (2, 1000, 224)
    names = [f"conv{i}" for i in range(1, 6)] + ["fc6", "fc7", "fc8"]
    assert [layer.name for layer in paper.layers] == names
    assert [getattr(init.std, name) for name in names] == [0.01] * 8  # 5
    assert [getattr(init.bias, name) for name in names] == [0, 1, 0, 1, 1, 1, 1, 0]
    kernels = [(layer.kernel, layer.stride) for layer in paper.layers]
    assert kernels == [(11, 4), (5, 1), (3, 1), (3, 1), (3, 1), (0, 1), (0, 1), (0, 1)]
    assert [name for name in names if "norm" in layer_of(paper, name).then] == ["conv1", "conv2"]
    pooled = [name for name in names if "pool" in layer_of(paper, name).then]
    assert pooled == ["conv1", "conv2", "conv5"]
    both = [layer.name for layer in paper.layers if layer.reads == "both"]
    assert both == ["conv3", "fc6", "fc7"]  # figure 2; fc8 reads both as a sum


def layer_of(net, name):
    return next(layer for layer in net.layers if layer.name == name)


def test_features_of_one_column():
    names = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    two = [resolve().features(name) for name in names]
    assert two == [48, 128, 192, 192, 128, 2048, 2048, 1000]
    one = [resolve(columns=1).features(name) for name in names]
    assert one == [48, 128, 192, 192, 256, 4096, 4096, 1000]


def test_width_scales_everything_but_the_classes():
    half = resolve(width=0.5)
    assert [half.features(n) for n in ("conv1", "conv5", "fc7", "fc8")] == [24, 64, 1024, 1000]
    assert resolve(width=0.001).features("conv1") == 1  # never none
    same = resolve(width=0.5, init__scale_with_width=False)
    assert dataclasses.replace(same, width=1.0, init=resolve().init) == resolve()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "tanh"),
        ("norm", "batch"),
        ("columns", 1),
        ("cross_columns", False),
        ("classes", 10),
        ("image_size", 227),
        ("compute_dtype", "bfloat16"),
        ("lrn__enabled", False),
        ("lrn__n", 3),
        ("lrn__k", 1.0),
        ("lrn__alpha", 1e-3),
        ("lrn__beta", 0.5),
        ("lrn__alpha_over_n", True),
        ("lrn__scope", "layer"),
        ("pool__window", 2),
        ("pool__stride", 3),
        ("dropout__rate", 0.25),
        ("init__std__conv3", 0.03),
        ("init__bias__fc8", 0.5),
        ("init__scale_with_width", False),
    ],
)
def test_a_field_changes_itself_and_nothing_else(field, value):
    before, after = dataclasses.asdict(resolve()), dataclasses.asdict(resolve(**{field: value}))
    *sections, last = field.split("__")
    place = after
    for part in sections:
        place = place[part]
    assert place[last] == value
    old = before
    for part in sections:
        old = old[part]
    assert old[last] != value
    place[last] = old[last]
    assert after == before


@pytest.mark.parametrize("names", ["conv4", " conv3, conv4 ", ("fc6", "fc7"), ["conv2"]])
def test_drop_layers_takes_products_out_and_leaves_pools(names):
    net = resolve(drop_layers=names)
    listed = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
    assert net.drop_layers == tuple(listed)
    for before, after in zip(resolve().layers, net.layers, strict=True):
        if before.name in listed:
            assert after.identity
            assert after.then == (("pool",) if "pool" in before.then else ())
        else:
            assert after == before


@pytest.mark.parametrize("names", ["", (), []])
def test_nothing_dropped(names):
    assert resolve(drop_layers=names) == resolve()


def test_the_dataset_says_the_classes_where_they_are_zero():
    assert resolve(found=37, classes=0).classes == 37
    assert resolve(found=37, classes=37).classes == 37
    assert resolve(classes=0).classes >= 2  # before the dataset is known


@pytest.mark.parametrize(
    ("fields", "expected", "got"),
    [
        ({"arch": "vgg"}, "model.arch is one of paper", "'vgg'"),
        ({"activation": "gelu"}, "model.activation is one of relu, tanh, sigmoid", "'gelu'"),
        ({"norm": "rms"}, "model.norm is one of lrn, batch, layer, group, none", "'rms'"),
        ({"lrn__scope": "net"}, "model.lrn.scope is one of column, layer", "'net'"),
        ({"columns": 3}, "model.columns is one of 1, 2", "3"),
        ({"compute_dtype": "float16"}, "model.compute_dtype is one of float32, bf", "'float16'"),
        ({"lrn__n": 4}, "model.lrn.n is an odd number of channels", "4"),
        ({"lrn__n": -1}, "model.lrn.n is an odd number of channels", "-1"),
        ({"pool__window": 0}, "model.pool.window is at least 1", "0"),
        ({"pool__stride": 0}, "model.pool.stride is at least 1", "0"),
        ({"dropout__rate": 1.0}, "model.dropout.rate is in [0, 1)", "1.0"),
        ({"dropout__rate": -0.1}, "model.dropout.rate is in [0, 1)", "-0.1"),
        ({"dropout__rate": float("nan")}, "model.dropout.rate is a number", "nan"),
        ({"width": 0.0}, "model.width is a factor above 0", "0.0"),
        ({"classes": 1}, "model.classes is at least 2", "1"),
        ({"image_size": 15}, "model.image_size is at least 16", "15"),
        ({"drop_layers": "conv1"}, "takes conv2, conv3, conv4, conv5, fc6, fc7", "conv1"),
        ({"drop_layers": "fc8,conv9"}, "model.drop_layers takes conv2", "fc8, conv9"),
    ],
)
def test_what_no_net_can_have_is_refused(fields, expected, got):
    with pytest.raises(ConfigError) as caught:
        resolve(**fields)
    message = str(caught.value)
    assert expected in message
    assert message.endswith(f"got {got}")


@pytest.mark.parametrize(
    "fields",
    [
        {"arch": "owt", "norm": "batch"},
        {"arch": "no_norm", "norm": "batch"},
        {"arch": "owt", "lrn__enabled": True},
        {"arch": "no_norm", "lrn__n": 3},
        {"arch": "paper", "spatial_norm__enabled": True},
    ],
)
def test_what_none_of_a_nets_layers_has_cannot_be_set(fields):
    with pytest.raises(ConfigError, match="changes nothing in arch .*: none of its layers has"):
        resolve(**fields)
    resolve(**{**fields, "arch": "code2012"})  # which has both
    for off in ({"norm": "none"}, {"lrn__enabled": False}, {"spatial_norm__enabled": False}):
        resolve(arch=fields["arch"], **off)


def test_classes_that_the_dataset_does_not_have():
    with pytest.raises(ConfigError, match="model.classes is 1000 but the dataset has 37 classes"):
        resolve(found=37)


def test_a_misspelt_field_is_refused():
    with pytest.raises(AttributeError, match="activaton"):
        resolving.overrides("paper").lock().activaton = "relu"


def test_a_value_of_another_type_is_refused():
    with pytest.raises(TypeError):
        resolving.overrides("paper").lrn.n = "five"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"classes": 10},
        {"width": 0.25},
        {"drop_layers": "conv3,fc7"},
        {"columns": 1, "norm": "batch", "width": 0.5},
        {"pool": {"window": 2}, "lrn": {"n": 3, "k": 1.0}},
        {"init": {"std": {"fc7": 0.03}, "form": "normal"}, "width": 0.25},
    ],
)
@pytest.mark.parametrize("name", ["paper", "small", "code2012"])
def test_an_architecture_from_python_is_that_of_the_config(name, changes):
    model = resolving.overrides(name)
    model.update(changes)
    assert architecture(name, **changes) == resolving.resolve(model)


def test_a_pooling_from_python_is_that_of_every_layer():
    arch = architecture("cifar18", pool={"window": 2})
    windows = [arch.pool_of(layer) for layer in arch.layers[:3]]
    assert [(pool.kind, pool.window) for pool in windows] == [("max", 2), ("avg", 2), ("avg", 2)]


def test_an_architecture_from_python_has_the_deviations_that_were_given():
    init = variants.ARCHITECTURES["paper"].init
    assert architecture("paper", init=init, width=0.25).init == init
    assert architecture("paper", width=0.25).init.std.fc7 == pytest.approx(0.01 * 2)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("papers", {}, "model.arch is one of paper, code2012"),
        ("paper", {"columns": 3}, "model.columns"),
        ("owt", {"columns": 2}, "model.columns of owt is 1; got 2"),
        ("paper", {"drop_layers": "conv9"}, "model.drop_layers takes conv2"),
        ("paper", {"norm": "layers"}, "model.norm"),
        ("small", {"width": -1.0}, "model.width"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused_from_python_too(name, changes, said):
    with pytest.raises(ConfigError, match=said):
        architecture(name, **changes)
