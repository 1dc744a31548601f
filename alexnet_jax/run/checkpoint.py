"""Checkpoints, by Orbax: written in the background, complete or not at all.

The latest two and the best are kept; the others are deleted.
"""

import operator
import pathlib
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax import Array
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from alexnet_jax.errors import CheckpointError
from alexnet_jax.run import checkpoint_metadata
from alexnet_jax.run.checkpoint_trial import check_directory, reason_of
from alexnet_jax.step.state import NetState, State, TrainState
from alexnet_jax.system.atomic_file import remedy, sync, sync_tree
from alexnet_jax.system.paths import user_path

LATEST = 2
_CHECKSUM = re.compile(r"checksum|CRC|DATA_LOSS", re.IGNORECASE)  # in TensorStore's errors


class Checkpoints:
    """The checkpoints of one run's folder; a context manager.

    Args:
      config_hash: of the run's config; a checkpoint of another config is refused. "": no check.
      directory: where the checkpoints are; "": workdir/checkpoints.
      read_only: write and delete nothing, since the run may be writing there at the same time.

    Raises:
      CheckpointError: what is written there cannot be read again.
    """

    def __init__(
        self,
        workdir: str | pathlib.Path,
        config_hash: str = "",
        directory: str = "",
        *,
        read_only: bool = False,
    ):
        self.directory = user_path(directory or user_path(workdir) / "checkpoints").resolve()
        self.config_hash = config_hash
        self._writing: int | None = None  # the step of the save that has begun and not ended
        self._read_only = read_only
        if read_only:
            return
        error = operator.itemgetter(checkpoint_metadata.ERROR)
        best = keep.BestN(
            get_metric_fn=error,
            reverse=True,
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep.AnyPreservationPolicy([keep.LatestN(LATEST), best]),
            best_fn=error,
            best_mode="min",
            cleanup_tmp_directories=True,
        )
        check_directory(self.directory)
        checkpoint_metadata.repair_metrics(self.directory)
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        if self._read_only:
            return
        try:
            self._manager.close()
        except (OSError, ValueError) as error:  # of a save that has begun
            raise CheckpointError(_not_written(self.directory, self._writing, error)) from error

    def steps(self) -> list[int]:
        """Return the steps of the finished checkpoints, oldest first."""
        if self._read_only:
            finished = ocp.path.step.standard_name_format().find_all(self.directory)
            return sorted(each.step for each in finished)
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, metrics: dict[str, float] | None = None) -> None:
        """Begin to save; the state may be donated once this returns.

        One of the same step, which was saved on a signal before its validation, is replaced; until
        the new one is on disk, the one before is the latest.

        Args:
          state: of the run.
          metrics: of the validation at this step, if there was one.

        Raises:
          CheckpointError: it could not be written; those of earlier steps are untouched.
        """
        step = int(state.step)
        meta = {"config_hash": self.config_hash, "sums": array_sums(state), "metrics": metrics}
        meta["checksum"] = checkpoint_metadata.checksum(meta)
        self.wait()  # an error here is that of the save before
        self._writing = step
        try:
            if step in self._manager.all_steps():
                self._manager.delete(step)
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_as_tree(state)), meta=ocp.args.JsonSave(meta)
                ),
                metrics=metrics,
                force=True,  # even if there is a later checkpoint, which was damaged
            )
        except (OSError, ValueError) as error:
            raise CheckpointError(_not_written(self.directory, step, error)) from error

    def wait(self) -> None:
        """Wait until the save that has begun is on disk.

        Orbax brings the arrays there, but not its own small files, without which they are lost.

        Raises:
          CheckpointError: it could not be written.
        """
        step, self._writing = self._writing, None
        try:
            self._manager.wait_until_finished()
            if step is not None and jax.process_index() == 0:
                sync_tree(self.directory / str(step))
                sync(self.directory)
        except (OSError, ValueError) as error:
            raise CheckpointError(_not_written(self.directory, step, error)) from error

    def restore(self, like: State, which: str | int = "latest") -> State | None:
        """Return a saved state with the shardings of `like`, or None if nothing is saved.

        Args:
          like: shapes, dtypes and shardings (jax.ShapeDtypeStruct). For a `NetState` only the net
            is read: half of the bytes.
          which: latest, best, or a step. If the latest cannot be read, a warning says why and the
            one before is used. If none was validated (imported weights), the latest is the best.

        Raises:
          CheckpointError: there is no such checkpoint, it cannot be read, it is another run's, or
            its arrays have other shapes or dtypes.
        """
        steps = self._wanted(which)
        if steps is None:
            return None
        for step in steps:
            try:
                return self._restore(like, step)
            except CheckpointError:
                raise
            except Exception as error:  # Orbax raises, among others, Exception itself
                if other := self._other_arrays(like, step):
                    where = self.directory / str(step)
                    raise CheckpointError(f"checkpoint {where} cannot be used: {other}") from error
                said = reason_of(error)
                what = "is damaged" if _CHECKSUM.search(said) else "cannot be read"
                warnings.warn(
                    f"checkpoint {self.directory / str(step)} {what} and is not used: {said}",
                    stacklevel=2,
                )
        advice = "restore the folder from a copy, or begin anew with another --workdir"
        if others := [str(step) for step in self.steps() if step not in steps]:
            advice = f"there are also {', '.join(others)}: --checkpoint={others[-1]} or latest"
        raise CheckpointError(
            f"no checkpoint of {', '.join(map(str, steps))} in {self.directory} can be read; "
            f"{advice}"
        )

    def _wanted(self, which: str | int) -> list[int] | None:
        steps = self.steps()
        best = self._best(steps) if which == "best" else None
        if which == "latest" or (which == "best" and best is None and steps):
            return steps[::-1] or None
        step = best if which == "best" else int(which)
        if step not in steps:
            kept = ", ".join(map(str, steps)) or "none"
            raise CheckpointError(f"no checkpoint {which} in {self.directory}; there are: {kept}")
        return [step]

    def _best(self, steps: list[int]) -> int | None:
        """Return the step with the lowest error, of equal ones the latest; None: no validation."""
        errors = {
            step: checkpoint_metadata.validation_error(self.directory / str(step)) for step in steps
        }
        validated = [(error, -step) for step, error in errors.items() if error is not None]
        return -min(validated)[1] if validated else None

    def _restore(self, like: State, step: int) -> State:
        # The hash comes first: the state of another net would look damaged.
        meta = checkpoint_metadata.read(self.directory / str(step))
        saved_hash = meta["config_hash"]
        if self.config_hash and saved_hash and self.config_hash != saved_hash:
            raise CheckpointError(
                f"checkpoint {self.directory / str(step)} is of a run with another config: "
                "take back what was edited in config.json, or give each run a --workdir, and a "
                "checkpoint.dir where that is set, of its own; a run of 21 November 2026 is "
                "read by the commit that its environment.json names"
            )
        tree = _as_tree(like)
        args = ocp.args.PyTreeRestore(
            tree,
            restore_args=ocp.checkpoint_utils.construct_restore_args(tree),
            partial_restore=True,
        )
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            state = type(like)(**reader.restore(self.directory / str(step) / "state", args=args))
        sums = array_sums(state)
        if sums != meta["sums"][: len(sums)]:  # a NetState's leaves come first
            raise ValueError("its numbers have not the checksums that were saved with them")
        if int(state.step) != step:
            raise ValueError(f"it is a copy of the one of step {int(state.step)}")
        return state

    def _other_arrays(self, like: State, step: int) -> str:
        """Return how a checkpoint's arrays differ from those asked for, or "" if none is known."""
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            try:
                saved = reader.metadata(self.directory / str(step) / "state").item_metadata
                have, want = _described(saved.tree), _described(_as_tree(like))
            except Exception:  # it is damaged too
                return ""
        for name, what in want.items():
            if have.get(name) != what:
                return f"its {name} is {have.get(name, 'not there')}; this run asks for {what}"
        return ""


def array_sums(state: NetState) -> list[int]:
    """Return the sum of each array's bits, modulo 2^32: equal states have equal sums."""
    return np.asarray(_bit_sums(state)).tolist()


@jax.jit
def _bit_sums(state: NetState) -> Array:
    def one(x: Array) -> Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return jnp.sum(jax.lax.bitcast_convert_type(x, jnp.uint32), dtype=jnp.uint32)

    return jnp.stack([one(x) for x in jax.tree.leaves(state)])


def _as_tree(state: NetState) -> dict:
    return {name: getattr(state, name) for name in state.__dataclass_fields__}


def _described(tree) -> dict[str, str]:
    """Return the dtype and shape of each array by its path; those of its data for a typed key."""

    def of(x) -> str:
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.eval_shape(jax.random.key_data, x)
        return f"{x.dtype} {x.shape}"

    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="."): of(x) for p, x in leaves}


def _not_written(directory: pathlib.Path, step: int | None, error: Exception) -> str:
    what = "the checkpoint" if step is None else f"checkpoint {step}"
    said = reason_of(error)
    return f"{what} could not be written to {directory}: {said}; {remedy(said)}"
