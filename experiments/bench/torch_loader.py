"""PyTorch's DataLoader over JPEG files, with which bench/data.py compares our loader.

It has a file of its own because each of its worker processes loads the module again.
"""

import io
import pathlib

import numpy as np
import simplejpeg
import torch
from PIL import Image


class JpegFiles(torch.utils.data.Dataset):
    """Files as (256, 256, 3) uint8 and label 0, decoded by PIL, as in torchvision, or simplejpeg.

    Attributes:
      names: the files; the index decides which one is read.
      decoder: "pil" or "simplejpeg".
    """

    def __init__(self, folder: pathlib.Path, decoder: str) -> None:
        self.names = sorted(str(path) for path in folder.iterdir())
        self.decoder = decoder

    def __len__(self) -> int:
        """Return a length that no measurement reaches."""
        return 10**9

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Read and decode one file."""
        # 7919 is prime: neighbouring indices read files that are far apart.
        data = pathlib.Path(self.names[index * 7919 % len(self.names)]).read_bytes()
        if self.decoder == "pil":
            pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        else:
            pixels = simplejpeg.decode_jpeg(data, colorspace="RGB")
        return torch.from_numpy(pixels), 0


def loader(
    folder: pathlib.Path, decoder: str, batch_size: int, workers: int
) -> torch.utils.data.DataLoader:
    """Return an endless loader of batches (b, 256, 256, 3) uint8, made by `workers` processes."""
    return torch.utils.data.DataLoader(
        JpegFiles(folder, decoder),
        batch_size=batch_size,
        num_workers=workers,
        multiprocessing_context="forkserver",  # a fork of a process with JAX may hang
    )
