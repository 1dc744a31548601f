"""What the miniature found, in the paper's order, for the tables and for the page."""

import dataclasses
import json
import pathlib
from collections import Counter

import numpy as np

from experiments.miniature import records
from experiments.miniature.protocol import BASELINE, ENTRIES, PRETRAINED, Entry
from experiments.miniature.records import RunRecord
from experiments.miniature.verdicts import (
    AGREES,
    DISAGREES,
    NOT_RUN,
    TOO_FEW,
    TOO_SMALL,
    Effect,
    effects,
    verdict,
)
from experiments.support.seed_statistics import mean_text
from experiments.sweeps.ablations import text

Rows = list[tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the results: a heading, sentences, a table whose first row is its head."""

    title: str
    words: str
    rows: Rows
    figure: str = ""  # a name that page.py draws


@dataclasses.dataclass(frozen=True)
class Found:
    """All records, and what follows from them."""

    runs: list[RunRecord]
    together: dict[str, dict]
    effects: dict[str, Effect | None]

    def of(self, entry: str) -> list[RunRecord]:
        """Return the finished runs of an entry."""
        return [run for run in self.runs if run.entry == entry]

    def verdict(self, entry: Entry) -> str:
        """Return the verdict on an entry."""
        return verdict(entry, self.effects.get(entry.name))


def found(folder: pathlib.Path) -> Found:
    """Read the folder of records."""
    runs = records.read(folder)
    together = folder / records.TOGETHER
    content = json.loads(together.read_text()) if together.exists() else {}
    return Found(runs, content, effects(ENTRIES, runs))


def sections(seen: Found) -> list[Section]:
    """Return all parts, what disagrees with the paper first."""
    return [_summary(seen), _table2(seen), _ablations(seen), _fitting(seen), *_looking(seen)]


def _summary(seen: Found) -> Section:
    verdicts = {entry.name: seen.verdict(entry) for entry in ENTRIES if entry.sign}
    del verdicts[BASELINE]
    counts = Counter(verdicts.values())
    rows: Rows = [("verdict", "how many", "which")]
    for kind in (DISAGREES, AGREES, TOO_SMALL, TOO_FEW, NOT_RUN):
        which = ", ".join(name for name, value in verdicts.items() if value == kind)
        rows.append((kind, str(counts[kind]), which or "-"))
    done, planned = len(seen.runs), sum(entry.seeds for entry in ENTRIES)
    hours = sum(run.seconds for run in seen.runs) / 3600
    words = f"{done} of {planned} runs are done."
    if machines := sorted({(run.result["cores"], run.result["vector_bits"]) for run in seen.runs}):
        which = "; ".join(f"CPU cores: {c}, vectors of {b} bits" for c, b in machines)
        words += f" Their steps took {hours:.1f} hours ({which})."
    if limit := smallest(seen):
        words += f" Three seeds can show a difference of {limit:.1f} points of top-1 error."
    return Section("What the paper says, and what is seen here", words, rows)


def smallest(seen: Found) -> float | None:
    """Return the mean half width, in points, of the intervals of entries with three seeds."""
    widths = [
        (effect.high - effect.low) / 2
        for effect in seen.effects.values()
        if effect and effect.seeds >= 3 and effect.high is not None and effect.low is not None
    ]
    return float(np.mean(widths)) if widths else None


def _table2(seen: Found) -> Section:
    rows: Rows = [("nets", "n", "top-1, %", "top-5, %", "paper, ILSVRC-2012")]
    for name, entry, views, paper in (
        ("1 net, one view", BASELINE, 1, "39.0 / 18.3 (2010)"),
        ("1 net, ten views", BASELINE, 10, "40.7 / 18.2; 37.5 / 17.0 (2010)"),
        ("1 net, pretrained, ten views", PRETRAINED, 10, "39.0 / 16.6"),
    ):
        looks = [run.look("test", views) for run in seen.of(entry)]
        errors = [errors_text([look[f"{k}_error"] for look in looks]) for k in ("top1", "top5")]
        rows.append((name, str(len(looks)), *errors, paper))
    for name, paper in (
        ("5 nets", "38.1 / 16.4"),
        ("2 pretrained", "-"),
        ("7 nets", "36.7 / 15.4"),
    ):
        row = seen.together.get(name)
        errors = [f"{100 * row[f'{k}_error']:.1f}" if row else "-" for k in ("top1", "top5")]
        rows.append((f"{name} together", "1" if row else "0", *errors, paper))
    words = (
        "Errors on the test set: mean and standard deviation over seeds. The paper's are of "
        "ILSVRC: (2010) on the test images of 2010, the others on the validation images of 2012."
    )
    return Section("Tables 1 and 2", words, rows)


def errors_text(errors: list[float]) -> str:
    """Return a mean error and its deviation, in %."""
    return mean_text([100 * error for error in errors]) if errors else "-"


def _ablations(seen: Found) -> Section:
    rows: Rows = [
        ("setting", "n", "points of top-1", "95 %", "seeds", "images", "paper", "verdict", "claim")
    ]
    for entry in ENTRIES:
        if entry.name == BASELINE:
            continue
        effect = seen.effects.get(entry.name)
        cells = ("0", "-", "-", "-", "-") if effect is None else _effect_cells(effect)
        claim = entry.claim
        rows.append((entry.name, *cells, text(entry.paper), seen.verdict(entry), claim))
    words = (
        "How much more top-1 error a run has than the baseline, in points: paired by seed and by "
        "test image. seeds and images: half of the interval that each alone would give."
    )
    return Section("Each idea left out", words, rows, "effects")


def _effect_cells(effect: Effect) -> tuple[str, ...]:
    interval = "-" if effect.low is None else f"{effect.low:+.1f} to {effect.high:+.1f}"
    seeds = "-" if effect.over_seeds is None else f"{effect.over_seeds:.1f}"
    return str(effect.seeds), f"{effect.mean:+.1f}", interval, seeds, f"{effect.over_images:.1f}"


def _fitting(seen: Found) -> Section:
    rows: Rows = [("setting", "n", "seen", "test", "gap", "epochs to the baseline's error")]
    base = [run.validations for run in seen.of(BASELINE)]
    for name in (BASELINE, "dropout", "crops_and_flips", "colour", "weight_decay", "relu"):
        runs = seen.of(name)
        both = [[run.look(split, 1)["top1_error"] for run in runs] for split in ("seen", "test")]
        gap = errors_text([t - s for s, t in zip(*both, strict=True)])
        epochs = _epochs_to(runs, base)
        rows.append((name, str(len(runs)), *map(errors_text, both), gap, epochs))
    words = (
        "Top-1 errors of one view, in %, on images that were trained on and on the test set; and "
        "the epochs until the held-out error is below what the baseline has at half of its epochs. "
        "What the paper says of dropout, crops and flips is that a net overfits without them: the "
        "gap shows that, while the verdicts above are of the error."
    )
    return Section("Fitting and overfitting (4.1, 4.2, figure 1)", words, rows, "curves")


def _epochs_to(runs: list[RunRecord], base: list[list[dict]]) -> str:
    if not (runs and base):
        return "-"
    half = len(base[0]) // 2
    target = float(np.mean([lines[half - 1]["top1_error"] for lines in base]))
    epochs = [
        next((line["epoch"] for line in run.validations if line["top1_error"] <= target), None)
        for run in runs
    ]
    reached = [epoch for epoch in epochs if epoch is not None]
    if len(reached) < len(epochs):
        return f"not reached in {len(epochs) - len(reached)} of {len(epochs)}"
    return f"{np.mean(reached):.1f}"


def _looking(seen: Found) -> list[Section]:
    runs = seen.of(BASELINE)
    colour: Rows = [("seed", "column 1", "column 2", "difference", "by chance, 95 of 100")]
    near: Rows = [("seed", "by fc7", "by pixels")]
    for run in runs:
        one = run.result["colour"]
        numbers = (*one["columns"], one["difference"], one["difference_by_chance"])
        colour.append((str(run.seed), *(f"{x:.2f}" for x in numbers)))
        if nearest := run.result.get("nearest"):
            near.append((str(run.seed), *(f"{100 * nearest[k]:.1f}" for k in ("fc7", "pixels"))))
    return [
        Section(
            "Figure 3: does one column see colour and the other not?",
            "Share of colour in the weights of conv1, by column; noise has 0.67. The columns "
            "specialize where the difference is larger than what chance gives.",
            colour,
        ),
        Section(
            "Figure 4: is the nearest training image of the same class?",
            "Test images whose nearest training image has their class, in %; 2 % by chance.",
            near,
        ),
    ]
