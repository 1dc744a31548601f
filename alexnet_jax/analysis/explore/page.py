"""The page: one HTML file with its style, its program and its data, that needs no network."""

import base64
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any

from alexnet_jax.analysis.report.markup import Markup, element, markup

SCRIPTS = (
    "data.js",
    "draw.js",
    "net.js",
    "maps.js",
    "lenses.js",
    "pieces.js",
    "panels.js",
    "page.js",
)

Packed = Mapping[str, dict[str, Any]]  # name of an activation -> its values


def page(
    net: dict[str, Any],
    pictures: Sequence[tuple[dict[str, Any], Packed]],
    pieces: dict[str, Any] | None = None,
) -> str:
    """Return the whole page.

    Values are in elements of their own, so that a browser reads those of a step when it is shown.

    Args:
      net: what content.net gave.
      pictures: what content.picture gave for each.
      pieces: what pieces.pieces gave; None: the page has no training images.
    """
    program = "\n".join(_source(name) for name in SCRIPTS)
    content = {"net": net, "pictures": [about for about, _ in pictures]}
    data = [_data("content", content), _data("training", pieces)]
    for index, (_, stored) in enumerate(pictures):
        data += [_data(f"values-{index}-{name}", packed) for name, packed in stored.items()]
    parts = {
        "policy": policy(program),
        "title": markup(f"{net['run']} - inside the net"),
        "style": _source("page.css"),
        "data": "\n".join(data),
        "program": program,
    }
    whole = _source("page.html")
    for name, text in parts.items():
        before, after = whole.split(f"<!-- {name} -->")
        whole = before + text + after
    return whole


def policy(program: str) -> str:
    """Return a policy by which the page runs this program only and fetches nothing."""
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _data(name: str, content: Any) -> Markup:
    """Return an element with JSON in it. No name in it can end the element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return element("script", Markup(text), type="application/json", id=name)


def _source(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
