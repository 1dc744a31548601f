"""A table of nets, each alone and all averaged, like the paper's table 2."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from alexnet_jax.errors import ConfigError
from alexnet_jax.inference.ensemble import Tally, averaged, fitted
from alexnet_jax.inference.predictions import Predictions
from alexnet_jax.system.progress import counted

TOGETHER, EQUAL, FIT = "together", "equal", "fit"
WIDTH = 10_000  # characters: a row of the table is one line, however long
SLICE = 1024  # images counted at a time
MeanWeights = str | list[float]  # EQUAL, FIT, or a weight for each net
Answers = Iterator[tuple[np.ndarray, dict]]  # probabilities (nets, b, classes), {"label": (b,)}


def weights_of(text: str) -> MeanWeights:
    """Return the value of --weights: EQUAL, FIT, or the numbers, scaled to a sum of 1.

    Raises:
      ConfigError: the text is none of these.
    """
    if text in (EQUAL, FIT):
        return text
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not (any(numbers) and all(0 <= number < math.inf for number in numbers)):
        raise ConfigError(f"--weights is equal, fit, or numbers from 0 up; got {text!r}")
    return [number / sum(numbers) for number in numbers]


def compare(predictions: Predictions, weights: MeanWeights) -> list[dict]:
    """Return a row for each net and one for all together.

    Args:
      predictions: of the nets, for the same images.
      weights: EQUAL, a weight for each net, or FIT. FIT searches for the weights on every second
        image; all rows are then of the other images, and there is one more row, of equal weights.
    """
    probabilities, labels = predictions.probabilities, predictions.labels
    heads = [
        {"net": net, "split": predictions.split, "views": views, "resize": resize}
        for net, views, resize in zip(
            predictions.nets, predictions.views, predictions.resize, strict=True
        )
    ]
    check_weights(weights, len(heads))
    if weights != FIT:
        return compared(heads, _slices(probabilities, labels), weights)
    if len(labels) < 2:
        raise ConfigError(f"--weights=fit needs two images at least; got {len(labels)}")
    best = fitted(probabilities[:, ::2], labels[::2])
    others = _slices(probabilities[:, 1::2], labels[1::2])
    return compared(heads, others, best, {f"{TOGETHER}, equal weights": None})


def check_weights(weights: MeanWeights, nets: int) -> None:
    """Refuse --weights that do not fit the number of nets.

    Raises:
      ConfigError: they are FIT for one net, or another number of weights.
    """
    if weights == FIT and nets < 2:
        raise ConfigError(f"--weights=fit needs two nets at least; got {nets}")
    if not isinstance(weights, str) and len(weights) != nets:
        raise ConfigError(
            f"--weights has {counted(len(weights), 'number')} for {counted(nets, 'net')}"
        )


def _slices(probabilities: np.ndarray, labels: np.ndarray) -> Answers:
    for start in range(0, len(labels), SLICE):
        part = slice(start, start + SLICE)
        yield probabilities[:, part], {"label": labels[part]}


def compared(
    heads: Sequence[dict],
    answers: Answers,
    weights: MeanWeights,
    also: Mapping[str, list[float] | None] | None = None,
) -> list[dict]:
    """Return a row for each net and, where there are several, one for each mean of them.

    Args:
      heads: the first fields of each net's row: net, split, views, resize.
      answers: the nets' probabilities and the labels, batch by batch.
      weights: EQUAL, or one for each net.
      also: further means of the nets: name -> weights (None: all equal).
    """
    given = None if isinstance(weights, str) else weights
    count = len(heads)
    mixes = {**(also or {}), TOGETHER: given} if count > 1 else {}
    tallies = [Tally() for _ in (*heads, *mixes)]
    for probabilities, batch in answers:
        mixed = [averaged(probabilities, mix) for mix in mixes.values()]
        for tally, answer in zip(tallies, (*probabilities, *mixed), strict=True):
            tally.add(answer, batch["label"])
    shared = {
        key: value
        for key, value in heads[0].items()
        if key != "net" and all(head[key] == value for head in heads)
    }
    together = [
        {"net": name, **shared, "weights": mix or [1 / count] * count}
        for name, mix in mixes.items()
    ]
    return [
        {**head, **tally.row()} for head, tally in zip((*heads, *together), tallies, strict=True)
    ]


def table(rows: Sequence[dict]) -> str:
    """Return rows as a text table: errors in percent, with their 95 % intervals."""
    columns = ("net", "views", "resize", "images", "top-1 error, %", "top-5 error, %", "loss")
    shown = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        errors = []
        for name in ("top1", "top5"):
            error, (low, high) = row[f"{name}_error"], row[f"{name}_interval"]
            errors.append(f"{100 * error:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
        weights = " ".join(f"{weight:.2f}" for weight in row.get("weights", ()))
        name = f"{row['net']} ({weights})" if weights else row["net"]
        how = str(row.get("views", "")), row.get("resize", ""), str(row["images"])
        shown.add_row(name, *how, *errors, f"{row['loss']:.4f}")
    console = Console(width=WIDTH, markup=False, highlight=False, emoji=False, color_system=None)
    with console.capture() as text:
        console.print(shown)
    return "\n".join(line.rstrip() for line in text.get().splitlines())
