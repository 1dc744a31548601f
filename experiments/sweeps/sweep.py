"""Train every combination of some fields' values, from several seeds, and compare them.

    python -m experiments.sweeps.sweep --config=configs/image_folder.py --out=runs/sweep \
        --config.data.dir=/path/to/folder --seeds=3 \
        --vary=model.lrn.enabled=True,False --vary=model.pool.window=3,2

Each run is a process of alexnet_jax.main in a folder of its own, OUT/<field>=<value>,...,seed=<n>,
which also keeps the run's output (output.txt). The same command again continues the sweep and
repeats no finished run; more seeds add runs. A run that fails does not stop the others; it is named
at the end, and the exit code is then 1. --jobs runs several at once, each on its own GPUs.
--where=slurm makes each a job (pip install submitit; --slurm=timeout_min=600,gpus_per_node=1).
Without --vary the recipe itself is trained from several seeds. Put a value that has a comma in
double quotes: --vary='model.drop_layers=conv3,"conv3,conv4"'.

It ends with a table of the validation errors, last and best: mean, standard deviation, and the
difference to the first combination with its 95 % interval, paired by seed; where two fields have
two values each, a table of the effect of each and of their interaction; a picture, OUT/sweep.svg
(matplotlib); and one JSON object, also OUT/summary.json.
"""

from absl import flags

from alexnet_jax.system import command_line
from experiments.sweeps import command
from experiments.sweeps.runs import grid


def define_flags() -> None:
    """Define the command line."""
    command.define_flags()
    flags.DEFINE_multi_string(
        "vary", [], "field=value,value,...; the first value is the reference."
    )


def main(_) -> None:
    """Run the grid."""
    command.end(command.sweep(grid(flags.FLAGS.vary)))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
