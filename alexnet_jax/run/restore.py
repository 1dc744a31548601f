"""Restore a trained net from its run's folder."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.data.sources import cifar10, folders, ilsvrc, layouts, tiny_imagenet
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import CheckpointError, ConfigError, DataError
from alexnet_jax.net.architecture import Architecture
from alexnet_jax.run import class_matching, dataset_info
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.config import fingerprint
from alexnet_jax.run.dataset_info import DatasetInfo
from alexnet_jax.run.folder import data_of, read_config
from alexnet_jax.step.state import NetState, abstract_net
from alexnet_jax.system import sharding
from alexnet_jax.system.paths import user_path

SPLIT = "validation"


@dataclasses.dataclass(frozen=True)
class Restored:
    """A trained net from its run's folder.

    Attributes:
      workdir: the run's folder.
      config: the run's.
      arch: the net.
      mesh: the devices that hold the net.
      state: its parameters, batch statistics and step.
      dataset_info: the classes and statistics of its training images.
    """

    workdir: pathlib.Path
    config: ConfigDict
    arch: Architecture
    mesh: Mesh
    state: NetState
    dataset_info: DatasetInfo

    @functools.cached_property
    def pixel_stats(self) -> dict[str, np.ndarray]:
        """What `make_pixel_stats` gives for the training images.

        Raises:
          DataError: the mean is that of the data, and they are gone.
        """
        return self.dataset_info.pixel_stats(data_of(self.workdir, self.config))

    def images(
        self,
        data_dir: str = "",
        resize: Resize | None = None,
        *,
        train: bool = False,
        split: str = SPLIT,
        by_name: bool = False,
    ) -> PreparedDataset:
        """Return prepared images for the net: those of its run, or others.

        Args:
          data_dir: a folder of images, or of ILSVRC's archives, in place of the run's images. If
            the folder holds class folders only, such as a val folder, all of its images are
            validation images, unless the run was trained on a part of them.
          resize: how the images are made square; None: as in training. The size is the run's.
          train: whether the training images are needed too.
          split: validation, or ILSVRC-2010's test.
          by_name: accept images of some of the net's classes too, or in another order; the caller
            asks `outputs` which they are.

        Raises:
          DataError: the images are missing, have other classes, or have replaced those of the run.
        """
        data = self.config.copy_and_resolve_references().data
        if data_dir:
            folder = user_path(data_dir)
            data.dir = data_dir
            data.builder = _builder_of(folder)
            if data.builder == "image_folder" and not train and _is_all_new(self, folder):
                data.validation_fraction = 1.0
        if resize is not None:
            data.resize, data.resize_filter = resize.form, resize.filter
        try:
            where = data_dir or data.dir or data.builder

            def accept(class_names: tuple[str, ...], _: dict[str, int]) -> str:
                outputs = self.outputs(class_names, where)
                if not by_name and outputs != tuple(range(self.arch.classes)):
                    raise DataError(
                        f"{where} has other classes than the net of {self.workdir}, or in another "
                        f"order ({len(outputs):,} of {self.arch.classes:,}): only evaluate takes "
                        "them, by their names; give images of all of its classes"
                    )
                return ""

            dataset = prepare(data, None if train else split, accept)
        except DataError as error:
            if data_dir or data.builder == "shapes" or _is_there(data.dir):
                raise
            # The images are gone, or the weights were imported and came without any.
            raise DataError(f"{error}, or for this evaluation give --data_dir") from error
        if not data_dir and resize is None:
            _check_images(self, dataset)
        return dataset

    @property
    def words(self) -> tuple[str, ...]:
        """What to call each class: its words, or "class 7" where the net knows none."""
        numbers = (f"class {label}" for label in range(self.arch.classes))
        return self.dataset_info.words or tuple(numbers)

    def outputs(self, class_names: Sequence[str], where: object) -> tuple[int, ...]:
        """Return the net's output for each class of some images; see `class_matching.outputs_of`.

        Raises:
          DataError: the images, which `where` names, have other classes.
        """
        ours = self.dataset_info.class_names
        return class_matching.outputs_of(ours, class_names, self.arch.classes, self.workdir, where)


def restore(
    workdir: str | pathlib.Path,
    checkpoint: str | int = "best",
    mesh: Mesh | None = None,
    classes: str = "",
) -> Restored:
    """Return the net in a run's folder, on this machine's devices.

    Its optimizer is not read, and its images need not be there.

    Args:
      workdir: the folder.
      checkpoint: best, latest or a step.
      mesh: the devices that hold the net; None: the run's mesh, or else all devices.
      classes: a file with the names of its classes, in place of those that it knows.

    Raises:
      CheckpointError: there is no run, or no such checkpoint.
      DataError: the data determine the number of classes, and they are gone; or the file of names
        does not fit.
    """
    if str(checkpoint) not in ("best", "latest") and not str(checkpoint).isdecimal():
        raise CheckpointError(f"--checkpoint is best, latest or a step; got {checkpoint!r}")
    workdir = user_path(workdir)
    config = read_config(workdir)
    folder = (workdir, fingerprint(config), config.checkpoint.dir)
    with Checkpoints(*folder, read_only=True) as checkpoints:
        if not checkpoints.steps():
            raise CheckpointError(
                f"{checkpoints.directory} holds no checkpoint: train {workdir} first"
            )
        info = dataset_info.read(workdir, config.data)
        arch = info.arch(config.model)
        if classes:
            names, words = class_matching.read(classes, arch.classes)
            info = dataclasses.replace(info, class_names=names, words=words)
        mesh = mesh or _mesh(config.mesh, arch.columns)
        state = checkpoints.restore(abstract_net(arch, mesh), checkpoint)
    assert state is not None
    return Restored(workdir, config, arch, mesh, state, info)


def split_cpu(workdirs: Sequence[str | pathlib.Path]) -> None:
    """Split the CPU as the runs in these folders had it; for commands, before JAX starts.

    Raises:
      CheckpointError: there is no run.
    """
    meshes = [read_config(user_path(workdir)).mesh for workdir in workdirs]
    sharding.split_cpu(max(meshes, key=lambda mesh: mesh.cpu_devices))


def _mesh(asked: ConfigDict, columns: int) -> Mesh:
    """Return the run's mesh, or one of all devices where that does not fit."""
    try:
        return sharding.make_mesh(asked, columns, 0)
    except ConfigError:
        anything = ConfigDict({"data": -1, "group": "auto"})
        return sharding.make_mesh(anything, columns, 0)


def _is_there(folder: str) -> bool:
    return bool(folder) and user_path(folder).is_dir()


def _is_all_new(restored: Restored, folder: pathlib.Path) -> bool:
    """Whether a folder holds class folders only, none of whose images the run was trained on.

    The training folder may have been moved, so a folder with as many images for training as the run
    had counts as the same one.
    """
    data = restored.config.copy_and_resolve_references().data
    trained_on = restored.dataset_info.statistics
    try:
        if layouts.split_folders(folder, train_needed=False) != (layouts.unwrapped(folder), None):
            return False
    except DataError:
        return False  # the folder is gone, but its images may have been prepared
    if _is_there(data.dir) and folder.samefile(user_path(data.dir)):
        return False
    try:
        source = folders.folder_source(folder, data.validation_fraction, data.held_out)
    except DataError:
        return True  # no run can be trained on it
    if trained_on is None:
        return True
    rest = source.splits["train"].count
    return not rest * (1 - data.max_bad_fraction) <= trained_on.images <= rest


def _check_images(restored: Restored, dataset: PreparedDataset) -> None:
    """Refuse images that have replaced those of the run."""
    before = restored.dataset_info.statistics
    if before is not None and (other := dataset_info.difference(before, dataset.statistics)):
        raise DataError(
            f"{restored.workdir} holds a run with other images: {other}; give it its own, "
            "or --data_dir where others are meant"
        )


def _builder_of(folder: pathlib.Path) -> str:
    """Return the data.builder of the images in a folder."""
    if cifar10.is_cifar10(folder):
        return "cifar10"
    if tiny_imagenet.is_tiny_imagenet(folder):
        return "tiny_imagenet"
    return "ilsvrc" if _is_ilsvrc(folder) else "image_folder"


def _is_ilsvrc(folder: pathlib.Path) -> bool:
    """Whether a folder holds the archives of ILSVRC, its kit, or its classes by their wnids."""
    archives = any(folder.glob("*.tar")) or any(folder.glob("*devkit*"))
    if archives or ilsvrc.is_download(folder):
        return True
    for split in ("train", "val"):
        if (folder / split).is_dir():
            names = [p.name for p in (folder / split).iterdir() if not p.name.startswith(".")]
            return bool(names) and all(re.match(r"n\d{8}(\.tar)?$", name) for name in names)
    return False
