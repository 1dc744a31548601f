"""The text of our result for each claim of the ledger, made from its record."""

import itertools
import math
import pathlib

from experiments.bench.time_to_train import hours, rates
from experiments.start.plateau_recipes import INPUT
from experiments.support.seed_statistics import mean_text
from experiments.sweeps.results import interval_text

RECORDS = pathlib.Path(__file__).parents[1] / "records"


def colour(record: dict) -> str:
    """Return how far apart the columns are, and what chance gives."""
    return (
        f"the columns differ by {record['difference']:.3f}, by chance up to "
        f"{record['difference_by_chance']:.3f} (n = 1; 200 classes of Tiny ImageNet, half the "
        f"width, step {record['step']:,})"
    )


def starts(record: dict) -> str:
    """Return when each run left ln(classes)."""
    steps: dict[str, list[str]] = {}
    for name, run in record["runs"].items():
        left = run["left_at_step"]
        steps.setdefault(name.rpartition("_")[0], []).append("never" if left is None else str(left))
    each = "; ".join(f"{name}: step {', '.join(left)}" for name, left in sorted(steps.items()))
    return f"2 % below it from {each} on (40 classes of Tiny ImageNet)"


def norm_map(record: dict) -> str:
    """Return how many recipes left ln(classes), by normalization and input."""
    # k = 0 divides 0 by 0, whatever the input
    rows = [row for row in record["settings"] if ", k = 0" not in row["setting"]]
    return _left(record, rows, ("LRN", "batch norm", "no norm"))


def start_map(record: dict) -> str:
    """Return how many recipes left ln(classes), by initial deviation and input."""
    return _left(record, record["settings"], ("deviation 0.01", "0.03 in conv3-5"))


def _left(record: dict, rows: list[dict], kinds: tuple[str, ...]) -> str:
    counts = []
    for kind, pixels in itertools.product(kinds, INPUT):
        these = [row for row in rows if {kind, pixels} <= _choices(row["setting"])]
        left, runs = (sum(row[name] for row in these) for name in ("left", "runs"))
        counts.append(f"{kind}, {pixels}: {left} of {runs}")
    return f"left it in {record['steps']} steps: {'; '.join(counts)} ({record['scale']})"


def _choices(setting: str) -> set[str]:
    """Return the choices of a setting; the normalization also without its constants."""
    choices = setting.split("; ")
    return {*choices, *(choice.partition(" n = ")[0] for choice in choices)}


def lrn_cost(record: dict) -> str:
    """Return the shares of a training step, from the lowest run to the highest."""
    runs = record["runs"]
    lrn, batch = (shares_of_step(record, name) for name in ("lrn_5", "batch"))
    wide = low_to_high([run["step_ms"]["lrn_15"] / run["step_ms"]["lrn_3"] for run in runs], ".2f")
    alone = low_to_high([run["n_15_over_n_3"] for run in runs], ".2f")
    return (
        f"LRN {low_to_high(lrn, '.1f')} % of a step, batch normalization "
        f"{low_to_high(batch, '.0f')} %; n = 15 against 3: {wide}x the step, {alone}x alone "
        f"({len(runs)} runs, two CPU cores, batch {record['batch']})"
    )


def shares_of_step(record: dict, norm: str) -> list[float]:
    """Return the share of a training step that a norm takes, in %, for each run of lrn_cost.py."""
    steps = [run["step_ms"] for run in record["runs"]]
    return [100 * (1 - step["none"] / step[norm]) for step in steps]


def low_to_high(values: list[float], form: str) -> str:
    """Return "39 to 42", or one number where both look the same."""
    low, high = (format(value, form) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def cifar_error(record: dict) -> str:
    """Return the test errors of one of cuda-convnet's nets."""
    errors = [100 * error for error in record["test_errors"]]
    seeds = f"n = {len(errors)}, {record['epochs']} epochs, all 50,000 pictures"
    return f"{mean_text(errors)} % ({seeds})"


def epochs_to_target(record: dict) -> str:
    """Return the epochs of ReLU and of tanh to the training error of figure 1, and their ratio."""
    each = []
    for name, row in ((name, record[name]) for name in ("relu", "tanh")):
        epochs = f"{mean_text(row['epochs'])} epochs at rate {row['rate']:g}"
        each.append(f"{name} {epochs} (n = {row['seeds']})")
    return f"{record['tanh_over_relu']:.1f}x: {', '.join(each)}, all 50,000 pictures"


def clock(record: dict) -> str:
    """Return the days that ninety epochs would take at the measured rates."""
    del record  # time_to_train reads it
    run = rates(RECORDS / "bench_step_cpu.json")
    train, infer = (run[kind]["images_per_second"] for kind in ("train", "inference"))
    return f"{hours(train, infer, math.inf) / 24:.1f} days by its rates (two CPU cores)"


def small_run(run: dict, row: dict) -> str:
    """Return the differences of one ablation, with their intervals and their scale."""
    top1, top5 = (row[f"final_{name}_error"] for name in ("top1", "top5"))
    return f"{interval_text(top1)} / {interval_text(top5)} (n = {top1['n']}; {run['scale']})"


def sign(row: dict) -> str:
    """Return the verdict that the sign of the difference in top-1 error gives.

    Each of the paper's ideas lowers the error: without it the error is larger.
    """
    delta = row["final_top1_error"]["difference"]
    if delta["low"] <= 0 <= delta["high"]:
        return "too noisy to say: needs ILSVRC"
    small = "agrees in sign" if delta["low"] > 0 else "less error without it"
    return f"{small} at this scale; the paper's needs ILSVRC"
