"""What a run was told and what it ran on: its config against the paper's recipe, its machine."""

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
    """Return (name, the paper's recipe, the run's) of what matters to the numbers and differs.

    A field that the run's version of the program did not know is no difference.
    """
    paper, own = configs.flattened(configs.base_config()), record.settings
    found = []
    for name in (*paper, *(name for name in own if name not in paper)):
        aside = name in configs.FREE or name.startswith(("model.", "log."))
        if name in own and not aside and paper.get(name) != own[name]:
            found.append((name, said(paper.get(name, "-")), said(own[name])))
    return found + _of_the_net(record)


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


def said(value: Any) -> str:
    """Return a value as a config file has it, a text without its quotes."""
    return str(value) if value != "" else '""'


def _field(name: str) -> list[Any]:
    """Return a dotted name that breaks after its dots and underscores where a line is short."""
    return [[part, element("wbr")] for part in re.split(r"(?<=[._])", name)]


def against_the_recipe(record: Record) -> Markup:
    """Return the section: what differs from the paper's recipe first, the rest folded."""
    different = differences(record)
    own = record.settings
    rest = [(_field(name), said(value)) for name, value in sorted(own.items()) if value is not None]
    absent = [name for name in configs.flattened(configs.base_config()) if name not in own]
    intro = "This run differs from configs/ilsvrc2012.py, the paper's recipe, in:"
    if not different:
        intro = "This run is configs/ilsvrc2012.py, the paper's recipe, in all that matters."
    head = ("", "the paper's recipe", "this run")
    unset = "Fields of model that are not set are those of the arch."
    older = f"Of another version of this program; it did not have: {', '.join(absent)}."
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
    found = [{name: row for name, *row in differences(record)} for record in records]
    papers = {name: paper for rows in found for name, (paper, _) in rows.items()}
    rows = []
    for name, paper in papers.items():
        values = [of_run[name][1] if name in of_run else paper for of_run in found]
        if len(set(values)) > 1:
            rows.append([_field(name), *values])
    if not rows:
        return section("config", "Configuration", element("p", "The runs have the same settings."))
    intro = element("p", "The settings in which the runs differ from each other:")
    shown = table(("", *(record.name for record in records)), rows)
    return section("config", "Configuration", intro, shown)


def environment(record: Record) -> Markup:
    """Return the section: versions, devices, command."""
    found = record.environment
    packages = found.get("packages")
    if isinstance(packages, dict):
        packages = ", ".join(f"{name} {version}" for name, version in packages.items())
    command = found.get("command")
    if isinstance(command, list):
        parts = [element("span", shlex.quote(str(part)), class_="argument") for part in command]
        command = element("code", [[part, " "] for part in parts])
    rows = [
        ("command", command),
        ("commit", found.get("commit")),
        ("devices", _listed(found.get("devices"))),
        ("processes", found.get("processes")),
        ("cores", found.get("cores")),
        ("Python", found.get("python")),
        ("packages", packages),
        ("platform", found.get("platform")),
        ("XLA flags", found.get("xla_flags")),
    ]
    known = [*summary.time_rows(record), *(row for row in rows if row[1])]
    return section("environment", "Time and environment", table(("", ""), known))


def _listed(devices: Any) -> str | None:
    """Return 4 x cpu:cpu for four devices of a kind."""
    if not isinstance(devices, list):
        return None
    kinds = collections.Counter(map(str, devices))
    return ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
