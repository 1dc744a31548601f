"""JSON that may be damaged or hostile, of a file or a line."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text.

    Raises:
      ValueError: it is no JSON, whatever is wrong with it; Python's own reader raises another error
        for one that is nested deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
