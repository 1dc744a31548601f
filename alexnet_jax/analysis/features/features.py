"""A layer's features of many images, for use elsewhere."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from alexnet_jax.analysis.features import export
from alexnet_jax.analysis.features.extraction import extractor, feature_shape, last_hidden
from alexnet_jax.data.input.loader import Batch
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.predictor import predicted
from alexnet_jax.run.restore import Restored


def features(
    nets: Sequence[Restored], images: Iterator[Batch], layer: str, out: pathlib.Path
) -> dict[str, Any]:
    """Write the features of some images and return what FILE.json holds.

    Args:
      nets: whose features stand side by side.
      images: batches with `file`, as of images.py or files.py.
      layer: name of an activation; "": the last hidden one.
      out: .npz or .array_record.

    Raises:
      ConfigError: no such layer, layers of different sizes, or another ending.
      DataError: the file cannot be written, or the images cannot be read.
    """
    export.check_ending(out)
    layer = layer or last_hidden(nets[0].arch)[1]
    shapes = [feature_shape(restored, layer) for restored in nets]
    if len(set(shapes)) > 1:
        raise ConfigError(f"{layer} has shapes {shapes} in these nets: give nets of one kind")
    shape = (*shapes[0][:-1], len(nets) * shapes[0][-1])
    answers = predicted([extractor(restored, layer) for restored in nets], images)
    parts = ((np.concatenate(list(values), axis=-1), batch) for values, batch in answers)
    count = export.write(out, shape, parts)
    return {
        "layer": layer,
        "shape": [count, *shape],
        "images": count,
        "nets": [
            {"workdir": str(restored.workdir), "step": int(restored.state.step)}
            for restored in nets
        ],
    }
