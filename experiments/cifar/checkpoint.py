"""Save the state of a run on CIFAR-10, and facts about the run, in one file."""

import json
import pathlib
from typing import Any
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.errors import CheckpointError
from alexnet_jax.system.atomic_file import atomic_file
from experiments.cifar.training import State


def save(path: pathlib.Path, state: State, **about: Any) -> None:
    """Write a state; the old file stays until the new one is complete.

    Args:
      path: the file, .npz.
      state: of the run.
      about: what JSON can hold.
    """
    leaves, _ = jax.tree.flatten_with_path(state)
    arrays: dict[str, Any] = {jax.tree_util.keystr(at): np.asarray(x) for at, x in leaves}
    with atomic_file(path, CheckpointError) as half, half.open("wb") as file:
        np.savez(file, about=json.dumps(about), **arrays)


def restore(path: pathlib.Path, first: State) -> tuple[State, dict[str, Any]]:
    """Return the saved state and the facts about its run; without a file `first` and {}.

    Raises:
      CheckpointError: the file is damaged, or holds another kind of state.
    """
    if not path.exists():
        return first, {}
    try:
        with path.open("rb") as file, np.load(file) as saved:
            leaves, tree = jax.tree.flatten_with_path(first)
            arrays = [jnp.asarray(saved[jax.tree_util.keystr(at)]) for at, _ in leaves]
            return jax.tree.unflatten(tree, arrays), json.loads(str(saved["about"]))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; delete it to start anew") from error
