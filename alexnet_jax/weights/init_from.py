"""Start a run from the weights of another, as in the paper's pretraining (section 6).

Initial values at random (section 5) are drawn in net/initial_values.py, `Initializer`.
"""

import contextlib
import dataclasses
import pathlib

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.errors import ConfigError, DataError, WeightsError
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.net.resolving import layer_names
from alexnet_jax.run import dataset_info, folder
from alexnet_jax.run.class_matching import outputs_of, some
from alexnet_jax.step.state import TrainState
from alexnet_jax.system import sharding
from alexnet_jax.system.paths import user_path
from alexnet_jax.weights import files, importing, layout
from alexnet_jax.weights.container import Weights, describe, listed, mean_rgb, misfits
from alexnet_jax.weights.runs import read_run


def initialised(
    state: TrainState, config: ConfigDict, arch: Architecture, mesh: Mesh
) -> tuple[TrainState, str]:
    """Return a new run's state with the parameters of config.init_from, and a line for the log.

    Every process reads the file. The velocity stays zero.

    Args:
      state: what `create_state` made.
      config: the run's. init_from is a file or a run's folder (its best checkpoint); init_layers
        are the layers to take, () for all.
      mesh: the devices that hold the state.

    Raises:
      WeightsError: a layer is missing or has another shape.
      ConfigError: init_layers names a layer that the net does not have.
    """
    source = user_path(config.init_from)
    weights = (
        read_run(source, mesh=mesh, with_mean=False) if source.is_dir() else files.read(source)
    )
    layers = layers_to_take(config.init_layers, tuple(state.params))
    _check_fit(source, weights, arch, layers)
    tensors = {
        name: tensor for name, tensor in weights.tensors.items() if name.partition(".")[0] in layers
    }
    params, stats = layout.from_torch(arch, tensors)
    placed = sharding.put_like({name: state.params[name] for name in params}, params)
    placed_stats = sharding.put_like({name: state.batch_stats[name] for name in stats}, stats)
    state = dataclasses.replace(
        state,
        params={**state.params, **placed},
        batch_stats={**state.batch_stats, **placed_stats},
    )
    loaded = f"starts from {source}: {', '.join(sorted(params))}; it {describe(weights)}"
    if anew := sorted(state.params.keys() - params.keys()):
        loaded += f"; drawn anew: {', '.join(anew)}"
    if weights.left_out:
        loaded += f"; left out of the file: {', '.join(weights.left_out)}"
    if other := _other_images(weights, config):
        loaded += f"; warning: {other}"
    return state, loaded


def check_fits(config: ConfigDict, arch: Architecture, class_names: tuple[str, ...]) -> None:
    """Refuse an init_from that does not fit the net or its classes, before images are prepared.

    Args:
      class_names: of its images, in the order of the labels.

    Raises:
      CheckpointError: init_from is a folder without a run.
      WeightsError: a layer is missing or has another shape. Of a run's folder `initialised` says
        this, since all processes read it together.
      ConfigError: the last layer is taken without being named, and its outputs are not known to be
        these classes in this order.
    """
    source = user_path(config.init_from)
    if not config.init_from:
        return
    names = tuple(dict.fromkeys(name.partition(".")[0] for name in layout.shapes(arch)))
    layers = layers_to_take(config.init_layers, names)
    if source.is_dir():
        ours = dataset_info.read(source, folder.read_config(source).data).class_names
    else:
        weights = files.read(source)
        _check_fit(source, weights, arch, layers)
        ours = importing.classes_of(weights, arch).class_names
    if names[-1] in layers and not config.init_layers:
        _check_outputs(source, ours, class_names, names)


def _check_outputs(
    source: pathlib.Path,
    ours: tuple[str, ...] | None,
    theirs: tuple[str, ...],
    layers: tuple[str, ...],
) -> None:
    if ours is not None and len(ours) != len(theirs):
        return  # the layer does not fit
    with contextlib.suppress(DataError):
        if outputs_of(ours, theirs, len(theirs), source, "") == tuple(range(len(theirs))):
            return
    known = f"its outputs are {some(ours)}" if ours else "the names of its outputs are not known"
    *others, last = layers
    raise ConfigError(
        f"init_from={source} brings its {last}, but {known}, and this run's labels are "
        f"{some(theirs, numbered=True)}: --config.init_layers={','.join(others)} draws {last} anew;"
        f" with {last} named there too it is taken as it is"
    )


def _check_fit(
    source: pathlib.Path, weights: Weights, arch: Architecture, layers: tuple[str, ...]
) -> None:
    if phrases := misfits(weights, arch, layers):
        wrong = {name.partition(".")[0] for name in phrases}
        others = ",".join(name for name in layers if name not in wrong)
        raise WeightsError(
            f"init_from={source} does not fit this net: {listed(phrases)}"
            + (f"; --config.init_layers={others} leaves them out" if others else "")
        )


def _other_images(weights: Weights, config: ConfigDict) -> str:
    """Return in words how the run's images differ from those of the weights, or "".

    Means of data sets are alike; the scale is not, and neither is a mean that is given by values.
    """
    if weights.mean is None:
        return ""
    data, mean = config.data, mean_rgb(weights.mean)
    given = list(data.mean_values) if data.mean == "values" else mean
    if np.allclose(data.divide_by, weights.divide_by, rtol=0.02) and np.allclose(
        given, mean, atol=3
    ):
        return ""
    by = ", ".join(f"{value:g}" for value in data.divide_by)
    what = [round(value, 2) for value in given] if data.mean == "values" else "their mean"
    return f"this run's images are less {what}, divided by [{by}]"


def layers_to_take(init_layers: tuple[str, ...], layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers to take, in the net's order.

    Raises:
      ConfigError: the net has no layer of this name, or they are no names.
    """
    names = layer_names("init_layers", init_layers)
    if unknown := [name for name in names if name not in layers]:
        raise ConfigError(f"init_layers takes {', '.join(layers)}; got {', '.join(unknown)}")
    return tuple(name for name in layers if name in names) if names else layers
