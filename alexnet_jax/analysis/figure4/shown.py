"""Images of a dataset as JSON has them: file, label, and a small picture."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from alexnet_jax.data.store.prepared import PreparedDataset

SIDE = 128  # pixels, at most
QUALITY = 85


def shown(dataset: PreparedDataset, split: str, number: int, names: Sequence[str]) -> dict:
    """Return {"file", "label", "jpeg"} of an image of a split; `names` are the classes'."""
    (image,), (label,) = dataset.read(split, [number])
    (file,) = dataset.file_names(split, [number])
    return {"file": file, "label": names[label], "jpeg": to_text(image)}


def to_text(image: np.ndarray) -> str:
    """Return base64 of a JPEG of (256, 256, 3) uint8, made smaller."""
    made = Image.fromarray(image)
    made.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    made.save(data, "JPEG", quality=QUALITY)
    return base64.b64encode(data.getvalue()).decode("ascii")


def from_text(text: str) -> np.ndarray:
    """Return the pixels of `to_text`, (h, w, 3) uint8."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))
