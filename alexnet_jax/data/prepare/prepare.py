"""Open the prepared copy of a dataset; make it first if it is missing."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence

from ml_collections import ConfigDict

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.data.decode.resize import PAPER, Resize, check_installed
from alexnet_jax.data.prepare.disk import only_one, os_error_line, reading
from alexnet_jax.data.prepare.preparation import Preparation, partial_directory
from alexnet_jax.data.sources import (
    cifar10,
    folders,
    ilsvrc,
    layouts,
    shapes,
    tfds_source,
    tiny_imagenet,
)
from alexnet_jax.data.sources.source import Source, note_if_a_part, without_images
from alexnet_jax.data.store.layout import VERSION, Layout
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.system.cores import cores
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path

Accept = Callable[[tuple[str, ...], dict[str, int]], str]


@reading()
def prepare(
    data: ConfigDict, only: str | None = None, accept: Accept = lambda class_names, counts: ""
) -> PreparedDataset:
    """Open the prepared copy of a dataset; make it first if it is missing.

    A preparation that dies leaves a directory named incomplete.*, which the next one continues.
    If another process is making the copy, this one waits for it.

    Args:
      data: config.data: builder, release, dir, prepared_dir, size, storage,
        resize, resize_filter, validation_fraction, held_out, max_bad_fraction, workers.
      only: the one split that is needed: "validation", or "test" of release 2010. The whole copy is
        opened if it exists, else a copy of that split alone, whose statistics are None.
      accept: is called with the names of the classes and the number of images of each split, before
        any image is read. It raises a UserError if the caller cannot use them; it returns a warning
        to print, or "".

    Raises:
      ConfigError: config.data has a value that it cannot have.
      DataError: for all other errors that the user can fix, in one line.
    """
    check_section(Data(), data, "data")
    if only not in (None, "validation", "test"):
        raise DataError(f"expected the only split to be validation or test, not {only}")
    directory = prepared_directory(data, only)
    makes = not directory.exists()
    if makes:
        with only_one(directory):
            makes = not directory.exists()  # another process may have made it meanwhile
            if makes:
                _make(data, directory, only, accept)
    # A preparation that died between its last two steps left this.
    shutil.rmtree(partial_directory(directory), ignore_errors=True)
    dataset = PreparedDataset(directory)
    if not makes:
        counts = {split: dataset.num_examples(split) for split in dataset.splits}
        _say(data, dataset.class_names, counts, accept(dataset.class_names, counts))
    _check_skipped(dataset, data.max_bad_fraction)
    return dataset


@reading()
def prepared_directory(data: ConfigDict, only: str | None = None) -> pathlib.Path:
    """Return where the prepared copy is or will be. All that decides its content is in its name.

    Args:
      data: config.data.
      only: see `prepare`. The directory of that split's copy, unless the whole copy has the split.

    Raises:
      DataError: there is neither a source nor a copy that was made from it.
    """
    whole = _whole_directory(data, train_needed=only is None)
    if only is None or (whole.exists() and only in PreparedDataset(whole).splits):
        return whole
    return whole.parent.with_name(f"{whole.parent.name}-only-{only}") / whole.name


def _whole_directory(data: ConfigDict, *, train_needed: bool) -> pathlib.Path:
    """Return the directory of a copy of all splits."""
    folder, resize, form = _root(data) / data.builder, Resize.of(data), data.storage
    if not resize.is_the_papers() and data.builder != "shapes":
        form += f"-{resize.form}-{resize.filter}"
    if resize.size != PAPER.size:
        form += f"-{resize.size}"
    if data.builder == "shapes":
        numbers = "-".join(str(n) for n in shapes.SPLIT_SIZES.values())
        return folder / f"{numbers}-{form}" / VERSION
    tfds_copy = _tfds_copy(data)
    if tfds_copy is not None:
        return folder / f"tfds-{tfds_copy.name}-{form}" / VERSION
    source = _source_folder(data)
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:8]
    name = f"{re.sub(r'[^A-Za-z0-9._]+', '_', source.name)}-{digest}-{form}"
    if data.builder == "ilsvrc":
        name = f"{data.release}-{name}"
    whole = folder / name / VERSION
    of_each = data.held_out == "class" and data.validation_fraction < 1
    name += f"-holdout{data.validation_fraction:g}" + "-of-each-class" * of_each
    held_out = folder / name / VERSION
    if data.builder == "ilsvrc":
        return held_out if data.release == "fall2011" else whole
    if data.builder != "image_folder":
        return whole
    if not source.is_dir():  # a source may be deleted once it is prepared
        for directory in (whole, held_out):
            if directory.exists():
                return directory
    with _other_builder(source):
        validation = layouts.split_folders(source, train_needed=train_needed)[1]
    return held_out if validation is None else whole


@contextlib.contextmanager
def _other_builder(folder: pathlib.Path) -> Iterator[None]:
    """Add to the error of a folder without class folders which builder reads it."""
    try:
        yield
    except DataError as error:
        if not ilsvrc.is_download(folder):
            raise
        hint = "ImageNet as Kaggle or Hugging Face gives it is read with data.builder=ilsvrc"
        raise DataError(f"{error}; {hint}") from error


def _root(data: ConfigDict) -> pathlib.Path:
    root = user_path(data.prepared_dir or "~/tensorflow_datasets").absolute()
    if re.search("[\\udc80-\\udcff]", str(root)):  # bytes that are no letters
        raise DataError(f"{str(root)!r} is not UTF-8, as ArrayRecord needs: set data.prepared_dir")
    return root


def _tfds_copy(data: ConfigDict) -> pathlib.Path | None:
    """Return TFDS's own imagenet2012 if it is the source, because data.dir names no other one."""
    if data.builder != "ilsvrc" or data.release != "2012" or data.dir:
        return None
    return tfds_source.find(_root(data))


def _source_folder(data: ConfigDict) -> pathlib.Path:
    if not data.dir:
        also = ", or TFDS's imagenet2012 in " + str(_root(data)) if data.builder == "ilsvrc" else ""
        raise DataError(f"data.builder={data.builder} needs a folder of images{also}; set data.dir")
    folder = pathlib.Path(os.path.abspath(user_path(data.dir)))
    if folder.is_file():
        raise DataError(f"data.dir={folder} is a file; give the folder that it is in")
    return folder


def _find_source(data: ConfigDict, only: str | None) -> Source:
    """List the images to prepare."""
    fraction, share_of, tfds_copy = data.validation_fraction, data.held_out, _tfds_copy(data)
    if data.builder == "shapes":
        source = shapes.shapes_source()
    elif tfds_copy is not None:
        source = tfds_source.tfds_source(tfds_copy, only)
    elif data.builder == "ilsvrc":
        source = ilsvrc.ilsvrc_source(_source_folder(data), data.release, fraction, share_of, only)
    elif data.builder == "cifar10":
        source = cifar10.cifar10_source(_source_folder(data))
    elif data.builder == "tiny_imagenet":
        source = tiny_imagenet.tiny_imagenet_source(_source_folder(data))
    else:
        with _other_builder(_source_folder(data)):
            source = folders.folder_source(_source_folder(data), fraction, share_of, only)
    if only is None:
        return source
    if only not in source.splits:
        raise DataError(
            f"data.builder={data.builder} has splits {', '.join(source.splits)}, not {only}"
        )
    return dataclasses.replace(source, splits={only: source.splits[only]})


def _make(data: ConfigDict, directory: pathlib.Path, only: str | None, accept: Accept) -> None:
    """Prepare into `directory`, which appears only when it is complete."""
    resize = Resize.of(data)
    check_installed(resize)
    source = _find_source(data, only)
    if only is None and len(source.class_names) < 2:
        raise DataError(
            f"{_where(data)} holds one class, {source.class_names[0]!r}: a net needs at least two; "
            "expected train/<class>/<file> or <class>/<file>"
        )
    counts = {name: split.count for name, split in source.splits.items()}
    if empty := [name for name, count in counts.items() if not count]:
        raise DataError(f"{_where(data)} has no image of {empty[0]}; add some")
    missing = without_images(source)
    left_out = source.left_out.line()
    notes = [f"{_where(data)}: {line}" for line in (left_out, missing) if line]
    dataset = data.release if data.builder == "ilsvrc" else data.builder
    notes += [*source.notes, note_if_a_part(dataset, _where(data), counts)]
    warning = accept(source.class_names, counts)
    _say(data, source.class_names, counts, *notes, warning)
    copy = Layout(directory, source.class_names, data.storage, resize)
    try:
        Preparation(
            copy,
            source,
            workers=data.workers or cores(),
            max_bad_fraction=data.max_bad_fraction,
        ).run()
    except OSError as error:
        raise DataError(os_error_line(error, directory)) from error


def _where(data: ConfigDict) -> str:
    return data.builder if data.builder == "shapes" else data.dir or data.builder


def _say(data: ConfigDict, class_names: Sequence[str], counts: dict[str, int], *notes: str) -> None:
    """Print the number of classes and of images of each split, and then the notes."""
    images = " and ".join(f"{count:,} {name}" for name, count in counts.items())
    first = f"data: {_where(data)}: {len(class_names):,} classes, {images} images"
    for line in (first, *filter(None, notes)):
        say(line)


def _check_skipped(dataset: PreparedDataset, max_bad_fraction: float) -> None:
    """Check how many images a copy lacks: it may have been made with a larger max_bad_fraction."""
    for split in dataset.splits:
        bad = [s for s in dataset.skipped if s["split"] == split]
        count = dataset.num_examples(split) + len(bad)
        if len(bad) > max_bad_fraction * count:
            raise DataError(
                f"{dataset.directory} lacks {len(bad)} of {count} images of {split} that could not "
                f"be read (first {bad[0]['file']}), more than data.max_bad_fraction="
                f"{max_bad_fraction} allows; raise it, or repair them and delete the directory"
            )
