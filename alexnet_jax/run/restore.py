"""A trained net from its run's folder, for everything that comes after training."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.sources import folders
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError, ConfigError, DataError
from alexnet_jax.net import architecture
from alexnet_jax.run import dataset_info
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import check, fingerprint
from alexnet_jax.run.dataset_info import DatasetInfo
from alexnet_jax.run.folder import data_of, read_config
from alexnet_jax.step.state import NetState, abstract_net
from alexnet_jax.system import sharding

SPLIT = "validation"


@dataclasses.dataclass(frozen=True)
class Restored:
    """A run's config, net, saved state, the mesh that the state lives on, what its images lose.

    Attributes:
      workdir: its folder.
      data: what is known of its training images.
      pixel_stats: what `make_pixel_stats` gives.
    """

    workdir: pathlib.Path
    config: ConfigDict
    arch: architecture.Architecture
    mesh: Mesh
    state: NetState
    data: DatasetInfo
    pixel_stats: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class RestoredRun(Restored):
    """A saved net and images to see it on."""

    dataset: PreparedDataset


def load(
    workdir: pathlib.Path,
    checkpoint: str | int = "best",
    data_dir: str = "",
    *,
    train: bool = False,
) -> RestoredRun:
    """Return the run in `workdir` as its checkpoint has it, with its images.

    Args:
      workdir: the run's folder.
      checkpoint: best, latest or a step.
      data_dir, train: what `images` takes.

    Raises:
      CheckpointError: no run, or no such checkpoint.
      ConfigError: another version of the program wrote it.
      DataError: its data is gone.
    """
    (restored,) = load_nets([workdir], checkpoint)
    parts = {field.name: getattr(restored, field.name) for field in dataclasses.fields(restored)}
    return RestoredRun(**parts, dataset=images(restored, data_dir, train=train))


def load_nets(workdirs: Sequence[pathlib.Path], checkpoint: str | int = "best") -> list[Restored]:
    """Return the nets in some runs' folders; their images need not be there.

    Args:
      workdirs: the folders.
      checkpoint: best, latest or a step, of each.

    Raises:
      CheckpointError: no run, or no such checkpoint.
      ConfigError: another version of the program wrote one.
      DataError: a net's mean or number of classes is that of its data, which are gone.
    """
    if str(checkpoint) not in ("best", "latest") and not str(checkpoint).isdigit():
        raise CheckpointError(f"--checkpoint is best, latest or a step; got {checkpoint!r}")
    configs = [_checked_config(workdir) for workdir in workdirs]
    sharding.split_cpu(max((config.mesh for config in configs), key=lambda m: m.cpu_devices))
    return [
        _load_net(workdir, config, checkpoint)
        for workdir, config in zip(workdirs, configs, strict=True)
    ]


def _checked_config(workdir: pathlib.Path) -> ConfigDict:
    config = read_config(workdir)
    check(config)
    return config


def _load_net(workdir: pathlib.Path, config: ConfigDict, checkpoint: str | int) -> Restored:
    known = dataset_info.read(workdir, config.data)
    pixel_stats = known.pixel_stats(data_of(workdir, config))
    restored = known.arch(config.model)
    mesh = _mesh(config.mesh, restored.columns)
    folder = (workdir, fingerprint(config), config.checkpoint.dir)
    with Checkpoints(*folder, read_only=True) as checkpoints:
        state = checkpoints.restore(abstract_net(restored, mesh), checkpoint)
    if state is None:
        raise CheckpointError(f"{workdir} has no checkpoint yet: train it first")
    return Restored(workdir, config, restored, mesh, state, known, pixel_stats)


def _mesh(asked: ConfigDict, columns: int) -> Mesh:
    """Return the mesh that the run had, or what there is here where that does not fit."""
    try:
        return sharding.make_mesh(asked, columns, 0)
    except ConfigError:
        anything = ConfigDict({"data": -1, "group": "auto"})
        return sharding.make_mesh(anything, columns, 0)


def images(
    restored: Restored,
    data_dir: str = "",
    resize: Resize | None = None,
    *,
    train: bool = False,
    split: str = SPLIT,
) -> PreparedDataset:
    """Return the validation images of a net, or others; where they must be prepared, only they are.

    Args:
      restored: the net.
      data_dir: a folder of images, or of ILSVRC's archives, in place of the run's own. Of class
        folders alone, such as those of a val folder, all images are validation images, unless the
        run was trained on a part of them.
      resize: how they are made square; None: as in training.
      train: whether the training images are needed too.
      split: validation, or ILSVRC-2010's test.

    Raises:
      DataError: they are not there, or have other classes, or the run's own were others.
    """
    data = restored.config.copy_and_resolve_references().data
    if data_dir:
        folder = pathlib.Path(data_dir).expanduser()
        data.dir = data_dir
        data.builder = "ilsvrc" if _is_ilsvrc(folder) else "image_folder"
        if data.builder == "image_folder" and not train and _is_all_new(restored, folder):
            data.validation_fraction = 1.0
    if resize is not None:
        data.resize, data.resize_filter = resize
    try:
        dataset = prepare(data, only=None if train else split)
    except DataError as error:
        if data_dir or data.builder == "shapes" or _is_there(data.dir):
            raise
        # Images that are gone, or weights that were imported and came without any.
        raise DataError(f"{error}, or for this evaluation give --data_dir") from error
    _check_classes(restored, dataset)
    if not data_dir and resize is None:
        _check_images(restored, dataset)
    return dataset


def _is_there(folder: str) -> bool:
    return bool(folder) and pathlib.Path(folder).expanduser().is_dir()


def _is_all_new(restored: Restored, folder: pathlib.Path) -> bool:
    """Whether a folder holds class folders alone, and not those that the run was trained on.

    Which these are is also seen by how many of them are not held out: the folder may have moved.
    """
    data, known = restored.config.copy_and_resolve_references().data, restored.data.statistics
    try:
        if folders.split_folders(folder, train_needed=False) != (folder, None):
            return False
    except DataError:
        return False  # it is gone, but may have been prepared
    if _is_there(data.dir) and folder.samefile(pathlib.Path(data.dir).expanduser()):
        return False
    try:
        rest = folders.folder_source(folder, data.validation_fraction).splits["train"].count
    except DataError:
        return True  # nothing could be trained on it
    return known is None or not rest * (1 - data.max_bad_fraction) <= known.images <= rest


def _check_classes(restored: Restored, dataset: PreparedDataset) -> None:
    """Refuse images whose labels mean other classes."""
    own, theirs = restored.data.class_names, dataset.class_names
    if len(theirs) != restored.arch.classes:
        raise DataError(
            f"{dataset.directory} has {len(theirs)} classes, the net of {restored.workdir} "
            f"{restored.arch.classes}: give images of the same classes"
        )
    if own is not None and own != theirs:
        label = next(k for k, pair in enumerate(zip(own, theirs, strict=True)) if len({*pair}) > 1)
        raise DataError(
            f"label {label} is {own[label]!r} to the net of {restored.workdir} but "
            f"{theirs[label]!r} in {dataset.directory}: give images of the same classes"
        )


def _check_images(restored: Restored, dataset: PreparedDataset) -> None:
    """Refuse images that took the place of those that the run was trained on."""
    before = restored.data.statistics
    if before is not None and (other := dataset_info.difference(before, dataset.statistics)):
        raise DataError(
            f"{restored.workdir} holds a run with other images: {other}; give it its own, "
            "or --data_dir where others are meant"
        )


def _is_ilsvrc(folder: pathlib.Path) -> bool:
    """Whether a folder holds the archives of ILSVRC, its kit, or its classes by their wnids."""
    if any(folder.glob("*.tar")) or any(folder.glob("*devkit*")):
        return True
    for split in ("train", "val"):
        if (folder / split).is_dir():
            names = [p.name for p in (folder / split).iterdir() if not p.name.startswith(".")]
            return bool(names) and all(re.match(r"n\d{8}(\.tar)?$", name) for name in names)
    return False
