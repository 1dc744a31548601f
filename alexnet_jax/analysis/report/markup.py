"""HTML and SVG as nested calls. Everything but elements is escaped: names of files may be hostile.

The text is plain ASCII, so that the encoding of the file does not matter.
"""

import base64
import html
import re
from collections.abc import Iterable
from typing import Any

_VOID = ("meta", "link", "img", "wbr")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # characters that HTML does not have
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


class Markup(str):
    """Text that needs no escaping."""


def markup(value: Any) -> Markup:
    """Return a value as markup: the members of a list one after the other, text escaped."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return Markup()
    if isinstance(value, list | tuple):
        return Markup("".join(map(markup, value)))
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))
    # A file's name may hold bytes that are not UTF-8, as lone surrogates.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Markup(html.escape(text).encode("ascii", "xmlcharrefreplace").decode())


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """Return an element. class_="x" gives class="x", stroke_width=2 gives stroke-width="2".

    An attribute that is None or False is left out.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{markup(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if name in _VOID else f"{markup(children)}</{name}>"
    return Markup(f"<{name}{text}>{end}")


def foreign(value: Any) -> Markup:
    """Return a user's name for something, isolated: it may run from right to left."""
    return element("bdi", value)


def table(head: Iterable[Any], rows: Iterable[Iterable[Any]], **attributes: Any) -> Markup:
    """Return a table in a box that scrolls if the table is too wide."""
    titles = element("tr", [element("th", title, scope="col") for title in head])
    lines = [element("tr", [element("td", cell) for cell in row]) for row in rows]
    whole = element("table", element("thead", titles), element("tbody", lines), **attributes)
    return element("div", whole, class_="wide", tabindex=0)


def details(summary: Any, *children: Any) -> Markup:
    """Return content that is folded until the reader opens it."""
    return element("details", element("summary", summary), *children)


def section(key: str, title: str, *children: Any) -> Markup:
    """Return a part of the page with its heading; `key` is its CSS class."""
    return element("section", element("h2", title), *children, class_=key)


def picture(data: bytes | str, what: str, **attributes: Any) -> Markup:
    """Return a JPEG or PNG, embedded in the page.

    Args:
      data: its bytes, or their base64.
      what: the text for readers who cannot see it.

    Raises:
      ValueError: it is neither.
    """
    content = data if isinstance(data, bytes) else base64.b64decode(data, validate=True)
    kinds = {_JPEG: "jpeg", _PNG: "png"}
    kind = next((kinds[start] for start in kinds if content.startswith(start)), None)
    if kind is None:
        raise ValueError(f"{what} is no JPEG or PNG")
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return element("img", src=source, alt=what, **attributes)
