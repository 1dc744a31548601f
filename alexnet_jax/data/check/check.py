"""Prove that a prepared dataset is whole and is what it says."""

import time
from typing import Any

from ml_collections import ConfigDict

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.data.check import audit
from alexnet_jax.data.check.audit import Finding
from alexnet_jax.data.check.release_facts import FACTS
from alexnet_jax.data.decode.image_issues import ODD
from alexnet_jax.data.prepare.disk import reading
from alexnet_jax.data.prepare.prepare import prepared_directory
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.system.cores import cores


@reading()
def check(data: ConfigDict, subset: bool = False) -> dict[str, Any]:
    """Check the prepared copy that config.data names, and print the table.

    Args:
      data: config.data of configs/ilsvrc2012.py.
      subset: whether the source is a part of the release, so that numbers of it do not fit.

    Returns:
      What main prints as JSON: ok, problems, counts, odd, skipped, duplicates, ...

    Raises:
      DataError: it is not prepared, or cannot be opened at all.
    """
    check_section(Data(), data, "data")
    directory = prepared_directory(data)
    if not directory.exists():
        raise DataError(
            f"{directory} is not there: prepare it with python -m alexnet_jax.data.prepare"
        )
    start = time.monotonic()
    dataset = PreparedDataset(directory)
    facts = FACTS.get(data.release) if data.builder == "ilsvrc" and not subset else None
    records = audit.read_records(dataset, data.workers or cores())
    findings = [
        *audit.check_counts(dataset, facts),
        *audit.check_labels(dataset, records, facts),
        *audit.check_files(dataset),
        *audit.check_records(dataset, records),
        *_odd(dataset),
    ]
    _print(findings)
    result = _result(dataset, findings)
    result["duplicates"] = [
        {"split": split, "file": name, "train_file": other}
        for split, name, other in records.duplicates
    ]
    return {**result, "seconds": round(time.monotonic() - start, 2)}


def _result(dataset: PreparedDataset, findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as main prints them."""
    wrong = [f for f in findings if f.ok is False]
    odd = {s: {k: len(names) for k, names in kinds.items()} for s, kinds in dataset.odd.items()}
    return {
        "ok": not wrong,
        "dataset": dataset.name,
        "directory": str(dataset.directory),
        "problems": [f"{f.what}: expected {f.expected}, found {f.found}" for f in wrong],
        **{split: dataset.num_examples(split) for split in dataset.splits},
        "classes": len(dataset.class_names),
        "odd": odd,
        "skipped": dataset.skipped,
    }


def _odd(dataset: PreparedDataset) -> list[Finding]:
    """List what was odd in the source and what was done with it, and what was left out."""
    findings = [
        Finding(f"{split}: {kind}", "", f"{len(names)}, {ODD[kind]}; first {names[0]}", None)
        for split, kinds in dataset.odd.items()
        for kind, names in sorted(kinds.items())
    ]
    reasons = [f"{s['split']}: {s['file']}" for s in dataset.skipped]
    return findings + [
        Finding(f"left out: {name}", "", skipped["reason"], None)
        for name, skipped in list(zip(reasons, dataset.skipped, strict=True))[:20]
    ]


def _print(findings: list[Finding]) -> None:
    verdicts = {True: "ok", False: "WRONG", None: ""}
    rows = [("", "what", "expected", "found")]
    rows += [(verdicts[f.ok], f.what, f.expected, f.found) for f in findings]
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
        print("  ".join([*cells, row[3]]).rstrip().encode("utf-8", "replace").decode())
