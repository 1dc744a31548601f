"""What is saved beside a checkpoint's arrays: the config's hash, checksums and metrics."""

import contextlib
import hashlib
import json
import pathlib
import shutil
import warnings

from alexnet_jax.errors import CheckpointError
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.json_text import parse_json

ERROR = "top1_error"  # "best" is the checkpoint with the lowest one


def checksum(meta: dict) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the metadata's JSON."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:16]


def read(checkpoint: pathlib.Path) -> dict:
    """Return the config's hash, the sums and the metrics that were saved with a checkpoint.

    Raises:
      OSError, ValueError: they are missing or damaged.
    """
    meta = parse_json((checkpoint / "meta" / "metadata").read_bytes())
    if meta.keys() == {"config_hash", "sums"}:  # of an older version
        return meta
    if meta.pop("checksum", None) != checksum(meta):
        raise ValueError("its metadata have not the checksum that was saved with them")
    return meta


def validation_error(checkpoint: pathlib.Path) -> float | None:
    """Return the top-1 error of the validation at a checkpoint; None: there was none, or is lost.

    The checksum covers the metrics in `meta`; an older version had Orbax's own file only.
    """
    with contextlib.suppress(Exception):
        metrics = read(checkpoint).get("metrics", {})
        if metrics != {}:
            return None if metrics is None else float(metrics[ERROR])
    try:
        return float(json.loads((checkpoint / "metrics" / "metrics").read_text())[ERROR])
    except Exception:
        return None


def repair_metrics(directory: pathlib.Path) -> None:
    """Make Orbax's files of metrics, by which it keeps the best, those that were saved.

    It cannot open a folder in which one is damaged: where nothing else tells the error, the file is
    removed.
    """
    for path in directory.glob("*/metrics/metrics"):
        checkpoint = path.parents[1]
        if not checkpoint.name.isdigit():
            continue  # not finished
        error = validation_error(checkpoint)
        try:
            if float(json.loads(path.read_text())[ERROR]) == error:
                continue
        except Exception:  # damaged JSON of any shape
            pass
        if error is not None:
            write_atomic(path, json.dumps(read(checkpoint)["metrics"]), CheckpointError)
        else:
            with contextlib.suppress(FileNotFoundError):  # another process of the run was first
                shutil.rmtree(path.parent)
            warnings.warn(f"checkpoint {checkpoint} has lost its validation error", stacklevel=3)
