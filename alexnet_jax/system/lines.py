"""One line for a terminal, whatever stands in the names and errors that it tells."""

import re
import sys

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")  # and bytes of names that are not UTF-8
_HEAD, _TAIL = 3000, 1000  # letters that are kept; the advice is at the end


def one_line(text: object) -> str:
    """Return a text without line breaks; a name in it could steer the terminal by other signs."""
    line = re.sub(r"\s*[\r\n]\s*", " ", str(text).strip())
    line = _CONTROL.sub(lambda sign: ascii(sign[0])[1:-1], line)
    return line if len(line) <= _HEAD + _TAIL else f"{line[:_HEAD]} ... {line[-_TAIL:]}"


def say(text: object) -> None:
    """Print a line on stderr."""
    print(one_line(text), file=sys.stderr, flush=True)
