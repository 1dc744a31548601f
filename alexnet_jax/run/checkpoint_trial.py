"""A small checkpoint, written and read before the first real one: does the folder keep it?"""

import glob
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp

from alexnet_jax.errors import CheckpointError
from alexnet_jax.system.atomic_file import make_folder, remedy

_DETAILS = " See full TensorStore details:"  # then the reason is in the error's __cause__


def check_directory(directory: pathlib.Path) -> None:
    """Make sure that a checkpoint in this folder can be read again.

    Orbax expands the characters of patterns in a path, and TensorStore decodes some others: there a
    checkpoint can be written and not be found again. So a small one is written and read first.

    Raises:
      CheckpointError: it cannot be.
    """
    if glob.escape(str(directory)) != str(directory) or "\\" in str(directory):
        raise CheckpointError(
            f"checkpoints cannot be in {directory}: Orbax reads *, ?, [ and \\ in a path as signs "
            "of a pattern; rename the folder, or choose another --workdir or checkpoint.dir"
        )
    if jax.process_index() or any(path.name.isdigit() for path in directory.glob("*")):
        return  # one process is enough; and where there is one, it will be read
    # In a folder of its own, since a manager clears away what is half written in `directory`.
    folder, numbers = directory / ".trial", np.arange(5, dtype=np.float32)
    alone = ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="try")
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    try:
        make_folder(folder)
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
            checkpointer.save(folder / "0", args=ocp.args.PyTreeSave({"x": numbers}), force=True)
            if not np.array_equal(checkpointer.restore(folder / "0")["x"], numbers):
                raise ValueError("other numbers came back")
    except Exception as error:  # whatever a strange path or disk leads to
        raise CheckpointError(
            f"checkpoints cannot be in {directory}: a small one that was written there could not "
            f"be read back ({reason_of(error)}); {remedy(reason_of(error))}, or choose another "
            "--workdir or checkpoint.dir"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def reason_of(error: Exception) -> str:
    """Return what is wrong in one line, without the settings that TensorStore adds."""
    text = " ".join(str(error).split())
    if _DETAILS in text:
        text = " ".join(str(error.__cause__ or text.partition(_DETAILS)[0]).split())
    return text.partition(" [tensorstore_spec")[0]
