"""Check that a prepared copy is complete and undamaged, and that it holds what it should."""

import dataclasses
import hashlib
import time
from typing import Any

from ml_collections import ConfigDict
from rich.table import Table

from alexnet_jax.config_fields import Data, check_section
from alexnet_jax.data.check.records import Records, read_records
from alexnet_jax.data.check.release_facts import FACTS, Facts
from alexnet_jax.data.decode.image_issues import done_about
from alexnet_jax.data.prepare.disk import reading
from alexnet_jax.data.prepare.prepare import prepared_directory
from alexnet_jax.data.store.layout import SUMS_FILE
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import DataError
from alexnet_jax.system import terminal
from alexnet_jax.system.cores import cores
from alexnet_jax.system.lines import one_line


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check. `ok` is None if nothing was expected."""

    what: str
    expected: str
    found: str
    ok: bool | None


@reading()
def check(data: ConfigDict, subset: bool = False) -> dict[str, Any]:
    """Check the prepared copy that config.data names, and print a table.

    Args:
      data: config.data.
      subset: the source is a part of the release, so the release's numbers do not apply.

    Returns:
      What the command prints as JSON: ok, problems, counts, odd (issues of images), skipped,
      duplicates, ...

    Raises:
      DataError: the copy is missing, or cannot be opened at all.
    """
    check_section(Data(), data, "data")
    directory = prepared_directory(data)
    if not directory.exists():
        raise DataError(
            f"{directory} is not there: prepare it with python -m alexnet_jax.data.prepare"
        )
    start = time.monotonic()
    dataset = PreparedDataset(directory)
    name = data.release if data.builder == "ilsvrc" else data.builder
    facts = None if subset else FACTS.get(name)
    records = read_records(dataset, data.workers or cores())
    findings = [
        *_check_counts(dataset, facts),
        *_check_labels(dataset, records, facts),
        _check_files(dataset),
        *_check_records(dataset, records),
        *_issues(dataset),
    ]
    terminal.show(_table(findings))
    wrong = [f for f in findings if f.ok is False]
    return {
        "ok": not wrong,
        "dataset": dataset.name,
        "directory": str(dataset.directory),
        "problems": [f"{f.what}: expected {f.expected}, found {f.found}" for f in wrong],
        **{split: dataset.num_examples(split) for split in dataset.splits},
        "classes": len(dataset.class_names),
        "odd": {
            split: {issue: len(names) for issue, names in issues.items()}
            for split, issues in dataset.image_issues.items()
        },
        "skipped": dataset.skipped,
        "left_out": dataset.left_out,
        "duplicates": [
            {"split": split, "file": name, "train_file": train_name}
            for split, name, train_name in records.duplicates
        ],
        "seconds": round(time.monotonic() - start, 2),
    }


def _compare(what: str, expected: object, found: object) -> Finding:
    """Return the result of comparing two values; `expected` None: it is not known."""
    if expected is None:
        return Finding(what, "", str(found), None)
    return Finding(what, str(expected), str(found), expected == found)


def _none(what: str, items: list[str]) -> Finding:
    """Return the result of a check for things of which there should be none."""
    first = f": {'; '.join(items[:3])}{' ...' if len(items) > 3 else ''}" if items else ""
    return Finding(what, "0", f"{len(items)}{first}", not items)


def _check_counts(dataset: PreparedDataset, facts: Facts | None) -> list[Finding]:
    """Compare the numbers of classes and images with the release's. Skipped images count too."""
    images = facts.images if facts else {}
    findings = [_compare("classes", facts and facts.classes, len(dataset.class_names))]
    for split in dataset.splits:
        skipped = sum(s["split"] == split for s in dataset.skipped)
        count = dataset.num_examples(split) + skipped
        findings.append(_compare(f"{split} images", images.get(split), count))
        if skipped:
            findings.append(_compare(f"{split} images left out, unreadable", None, skipped))
    missing = sorted(images.keys() - set(dataset.splits))
    return findings + [_compare(f"{split} images", images[split], 0) for split in missing]


def _check_labels(dataset: PreparedDataset, records: Records, facts: Facts | None) -> list[Finding]:
    """Check the order of the labels, and the labels of some classes and images."""
    names = list(dataset.class_names)
    findings = [_none("train images named of another class", records.mislabelled)]
    if "wnid" in (dataset.classes[0] if dataset.classes else {}):
        in_order = names == sorted(set(names)) == [c.get("wnid") for c in dataset.classes]
        order = "as expected" if in_order else f"{names[:3]} ..."
        findings.append(Finding("labels", "sorted wnids", order, in_order))
    if facts is None:
        return findings
    labels = {wnid: label for label, wnid in enumerate(names)}
    ids = {c.get("wnid"): c["ilsvrc_id"] for c in dataset.classes if "ilsvrc_id" in c}
    for what, expected, actual in (
        ("label", facts.labels, labels),
        ("ILSVRC id", facts.ilsvrc_ids if ids else {}, ids),
        ("label", facts.images_labels, records.labels),
    ):
        for name, number in expected.items():
            findings.append(_compare(f"{what} of {name}", number, actual.get(name, "missing")))
    return findings


def _check_files(dataset: PreparedDataset) -> Finding:
    """Compare the record files with SHA256SUMS."""
    try:
        lines = (dataset.directory / SUMS_FILE).read_text().splitlines()
        expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise DataError(f"{dataset.directory / SUMS_FILE} cannot be read ({error})") from error
    there = {path.name for path in dataset.directory.glob("*.array_record*")}
    wrong = sorted(there ^ expected.keys())
    for name in sorted(there & expected.keys()):
        with (dataset.directory / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected[name]:
                wrong.append(name)
    found = f"{len(there)}, of them wrong: {', '.join(wrong) or 'none'}"
    return Finding("files with their SHA-256", str(len(expected)), found, not wrong)


def _check_records(dataset: PreparedDataset, records: Records) -> list[Finding]:
    """Report damaged records and duplicates, and compare the statistics with those stored."""
    stored, made = dataset.statistics, records.sums.finalise() if records.sums.images else None
    same = stored is not None and made is not None and stored.same(made)
    statistics = Finding(
        "mean and covariance", "those of the records", "the same" if same else "others", same
    )
    pairs = [f"{split} {name} = train {other}" for split, name, other in records.duplicates]
    duplicates = _none("images of other splits that train has too", pairs)
    return [
        _none("damaged records", records.damaged),
        statistics,
        dataclasses.replace(duplicates, ok=None, expected=""),
    ]


def _issues(dataset: PreparedDataset) -> list[Finding]:
    """List the issues of images with what was done about them, and what was left out."""
    return (
        [
            _compare(
                f"{split}: {issue}", None, f"{len(names)}, {done_about(issue)}; first {names[0]}"
            )
            for split, issues in dataset.image_issues.items()
            for issue, names in sorted(issues.items())
        ]
        + [
            _compare(f"left out: {skipped['split']}: {skipped['file']}", None, skipped["reason"])
            for skipped in dataset.skipped[:20]
        ]
        + [
            _compare(f"in the source: {reason}", None, count)
            for reason, count in sorted(dataset.left_out.items())
        ]
    )


def _table(findings: list[Finding]) -> Table:
    verdicts = {True: "ok", False: "WRONG", None: ""}
    table = Table("", "what", "expected", "found", box=None, pad_edge=False)
    for finding in findings:
        cells = (verdicts[finding.ok], finding.what, finding.expected, finding.found)
        table.add_row(*map(one_line, cells))
    return table
