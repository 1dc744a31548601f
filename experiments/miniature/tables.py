"""miniature.md: the results as Markdown.

python -m experiments.miniature.tables          # writes it from the committed records
python -m experiments.miniature.tables --check  # exit code 1 where it differs from them
"""

import pathlib

from alexnet_jax.system import command_line
from experiments.claims import generated
from experiments.claims.figures import RECORDS
from experiments.miniature.contents import found, sections

NAME = "miniature.md"
FOLDER = RECORDS / "miniature"


def markdown(folder: pathlib.Path) -> str:
    """Return the page of a folder of records."""
    parts = [
        "# The paper in miniature\n",
        "Made by `python -m experiments.miniature` from the records of its runs. The protocol is "
        "`experiments/miniature/protocol.py`.\n",
    ]
    for section in sections(found(folder)):
        table = generated.table(section.rows[0], section.rows[1:])
        parts += [f"## {section.title}\n", f"{section.words}\n", table]
    return "\n".join(parts)


if __name__ == "__main__":
    generated.define_flags()
    command_line.run(lambda _: generated.write(FOLDER / NAME, lambda _: markdown(FOLDER)))
