"""Read what torch.save wrote, by torch.load(weights_only=True), which runs nothing of the file."""

import contextlib
import io
import pathlib
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights.numpy_files import MOST_BYTES

_MOST_PARTS = 10**8  # of nested tuples, which Python hashes in about a second


def load(path: pathlib.Path) -> Any:
    """Return the content of a PyTorch file: tensors in dicts and lists.

    Raises:
      WeightsError: PyTorch is not installed.
      ValueError: the file is damaged, or holds something else. PyTorch may raise any other error.
    """
    try:
        import torch
    except ImportError:
        raise WeightsError(
            f"{path} needs PyTorch to be read: pip install torch, or where it is installed "
            "save the state dict with safetensors.torch.save_file"
        ) from None
    if zipfile.is_zipfile(path):
        _check_archive(path)
    _check_tuples(_pickle_steps(path))
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if asked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(
                f"it holds a {asked[1]}, and only tensors are loaded: where it was made, save the "
                "state dict alone, torch.save(model.state_dict(), 'weights.pth')"
            ) from error
        if "weights_only" in str(error):  # PyTorch advises to run what the file says
            raise ValueError(
                "it is a pickle of other things than PyTorch's tensors: save arrays with np.savez, "
                "tensors with torch.save(model.state_dict(), 'weights.pth')"
            ) from error
        raise


def is_tensor(value: Any) -> bool:
    """Whether a value of such a file is a tensor."""
    import torch

    return torch.is_tensor(value)


def array(name: str, tensor: Any) -> np.ndarray:
    """Return a tensor's numbers; those of any floating type as float32.

    Raises:
      ValueError: it is no plain tensor, or larger than any AlexNet's.
    """
    import torch

    plain = tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_nested)
    if not plain or tensor.is_complex() or tensor.is_meta:
        raise ValueError(
            f"{name} is quantized, sparse, complex or without numbers: save it again as a "
            "plain tensor of floats"
        )
    if tensor.numel() * 4 > MOST_BYTES:
        raise ValueError(f"{name} has {tensor.numel()} numbers, more than any AlexNet")
    numbers: np.ndarray = (
        tensor.detach().float() if tensor.is_floating_point() else tensor
    ).numpy()
    return numbers


def _check_archive(path: pathlib.Path) -> None:
    """Refuse a zip file that torch.save would not write, or with a wrong checksum."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("it is compressed, which torch.save never does")
        if sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError("its parts overlap, which those of torch.save never do")
        # PyTorch does not compare them; it can be told to write none, and then all are 0.
        if any(part.CRC for part in parts) and (damaged := archive.testzip()):
            raise ValueError(f"{damaged} has not the checksum that was saved with it")


def _pickle_steps(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """Iterate over the steps of the file's pickles: name and argument."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            part = next(p for p in archive.infolist() if p.filename.endswith("data.pkl"))
            del part.CRC  # compared above, where there is one
            pickles: list[Any] = [archive.read(part)]
    else:  # the older form: a magic number, a version, facts of the machine, and the content
        pickles = [io.BytesIO(path.read_bytes())] * 4
    with contextlib.suppress(ValueError):  # it ends too early or is damaged; PyTorch says so
        for pickle in pickles:
            yield from ((step.name, argument) for step, argument, _ in pickletools.genops(pickle))


def _check_tuples(steps: Iterable[tuple[str, Any]]) -> None:
    """Refuse tuples within tuples of which a few bytes make more than can be hashed.

    A tuple may be a key, which Python hashes with all that it holds, each time. The count is an
    upper bound: a tuple has at most all steps before it, and all tuples that were used again.
    """
    sizes, again, is_tuple = dict[Any, int](), 0, False
    for count, (step, argument) in enumerate(steps):
        if step.endswith("PUT") and is_tuple:
            sizes[argument] = count + again
        elif step.endswith("GET"):
            again += sizes.get(argument, 0)
            is_tuple = False
        elif not step.endswith("PUT"):
            is_tuple = step.startswith("TUPLE")
        if again > _MOST_PARTS:
            raise ValueError("its pickle nests tuples, as no state dict does: save that alone")
