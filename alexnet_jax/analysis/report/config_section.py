"""Show a run's config beside the paper's recipe, and the machine that it ran on."""

import collections
import re
import shlex
from collections.abc import Sequence
from typing import Any

from alexnet_jax.analysis.report import summary
from alexnet_jax.analysis.report.markup import Markup, details, element, section, table
from alexnet_jax.analysis.report.run_record import Record
from alexnet_jax.net import listing, resolving
from alexnet_jax.run import config as configs


def differences(record: Record) -> list[tuple[str, str, str]]:
    """Return (name, value in the paper's recipe, value in the run) where results may differ.

    A field that the run's version of the program did not have is no difference.
    """
    paper, settings = configs.flattened(configs.base_config()), record.settings
    rows = []
    for name in (*paper, *(name for name in settings if name not in paper)):
        free = name in configs.FREE or name.startswith(("model.", "log."))
        if name in settings and not free and paper.get(name) != settings[name]:
            rows.append((name, _text(paper.get(name, "-")), _text(settings[name])))
    return rows + _of_the_net(record)


def _of_the_net(record: Record) -> list[tuple[str, str, str]]:
    if record.arch is None:
        return [("model", "arch paper", "a net that this version does not know")]
    first, second = resolving.resolve(configs.base_config().model), record.arch
    rows = [("model.arch", first.name, second.name)] if second.name != first.name else []
    for name, one, other in listing.differences(first, second):
        if name == "classes":
            other = f"{record.classes:,}" if record.classes else "as many as the images have"
        rows.append((f"model.{name}", one, other))
    return rows


def _text(value: Any) -> str:
    """Return a value as in a config file, but text without quotes."""
    return str(value) if value != "" else '""'


def _field(name: str) -> list[Any]:
    """Return a dotted name in which a line may break after dots and underscores."""
    return [[part, element("wbr")] for part in re.split(r"(?<=[._])", name)]


def against_the_recipe(record: Record) -> Markup:
    """Return the section: differences from the paper's recipe, and all settings, folded."""
    different, settings = differences(record), sorted(record.settings.items())
    rest = [(_field(name), _text(value)) for name, value in settings if value is not None]
    fields = configs.flattened(configs.base_config())
    absent = [name for name in fields if name not in record.settings]
    intro = "This run differs from configs/ilsvrc2012.py, the paper's recipe, in:"
    if not different:
        intro = "This run is configs/ilsvrc2012.py, the paper's recipe, in all that matters."
    head = ("", "the paper's recipe", "this run")
    unset = "The arch decides the fields of model that are not set."
    older = (
        "This run was made by another version of this program; it did not have: "
        f"{', '.join(absent)}."
    )
    return section(
        "config",
        "Configuration",
        element("p", intro),
        table(head, [(_field(name), *rest) for name, *rest in different]) if different else None,
        details(
            f"All {len(rest)} settings",
            element("p", unset),
            element("p", older) if absent else None,
            table(("", "value"), rest),
        ),
    )


def between_runs(records: Sequence[Record]) -> Markup:
    """Return the section of several runs: the settings in which they differ from each other."""
    of_runs = [{name: row for name, *row in differences(record)} for record in records]
    papers = {name: paper for of_run in of_runs for name, (paper, _) in of_run.items()}
    rows = []
    for name, paper in papers.items():
        values = [of_run[name][1] if name in of_run else paper for of_run in of_runs]
        if len(set(values)) > 1:
            rows.append([_field(name), *values])
    if not rows:
        return section("config", "Configuration", element("p", "The runs have the same settings."))
    intro = element("p", "The settings in which the runs differ from each other:")
    shown = table(("", *(record.name for record in records)), rows)
    return section("config", "Configuration", intro, shown)


def environment(record: Record) -> Markup:
    """Return the section: versions, devices, command."""
    facts = record.environment
    packages = facts.get("packages")
    if isinstance(packages, dict):
        packages = ", ".join(f"{name} {version}" for name, version in packages.items())
    command = facts.get("command")
    if isinstance(command, list):
        parts = [element("span", shlex.quote(str(part)), class_="argument") for part in command]
        command = element("code", [[part, " "] for part in parts])
    rows = [
        ("command", command),
        ("commit", facts.get("commit")),
        ("devices", _listed(facts.get("devices"))),
        ("processes", facts.get("processes")),
        ("cores", facts.get("cores")),
        ("Python", facts.get("python")),
        ("packages", packages),
        ("platform", facts.get("platform")),
        ("XLA flags", facts.get("xla_flags")),
    ]
    rows = [*summary.time_rows(record), *(row for row in rows if row[1])]
    return section("environment", "Time and environment", table(("", ""), rows))


def _listed(devices: Any) -> str | None:
    """Return "4 x cpu:cpu" for four devices of one kind."""
    if not isinstance(devices, list):
        return None
    kinds = collections.Counter(map(str, devices))
    return ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
