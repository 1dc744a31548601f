"""PyTorch's DataLoader over JPEG files: what bench_data.py puts beside our loader.

A file of its own, since each of its worker processes loads the module anew.
"""

import io
import pathlib
from collections.abc import Iterator

import numpy as np
import simplejpeg
import torch
from PIL import Image


class JpegFiles(torch.utils.data.Dataset):
    """Files as (256, 256, 3) uint8, and label 0; decoded by PIL, as torchvision's, or simplejpeg.

    Attributes:
      names: the files, drawn without end in an order that only the index decides.
      decoder: "pil" or "simplejpeg".
    """

    def __init__(self, folder: pathlib.Path, decoder: str) -> None:
        self.names = sorted(str(path) for path in folder.iterdir())
        self.decoder = decoder

    def __len__(self) -> int:
        """Return a length that no measurement comes to the end of."""
        return 10**9

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Read and decode one file."""
        # A step that is prime to most numbers of files: neighbours come from far apart.
        data = pathlib.Path(self.names[index * 7919 % len(self.names)]).read_bytes()
        if self.decoder == "pil":
            pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
        else:
            pixels = simplejpeg.decode_jpeg(data, colorspace="RGB")
        return torch.from_numpy(pixels), 0


def batches(
    folder: pathlib.Path, decoder: str, batch_size: int, workers: int
) -> Iterator[list[torch.Tensor]]:
    """Iterate without end over batches (b, 256, 256, 3) uint8, made by so many processes."""
    return iter(
        torch.utils.data.DataLoader(
            JpegFiles(folder, decoder),
            batch_size=batch_size,
            num_workers=workers,
            multiprocessing_context="forkserver",  # a fork of a process with JAX may hang
        )
    )
