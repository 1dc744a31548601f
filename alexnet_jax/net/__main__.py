"""The table of architectures on the command line.

    python -m alexnet_jax.net counts
    python -m alexnet_jax.net diff paper code2012
    python -m alexnet_jax.net show code2012 [--figure=code2012.svg]

`counts` and `show` end with one line of JSON.
"""

import argparse
import json
import sys

from rich.table import Table

from alexnet_jax.errors import UserError
from alexnet_jax.net import listing
from alexnet_jax.net.resolving import architecture
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.system import terminal
from alexnet_jax.system.lines import say
from alexnet_jax.system.paths import user_path


def counts(_) -> None:
    """Print the number of parameters of each row with the row's number of classes."""
    parameters = {name: listing.count(architecture(name)) for name in ARCHITECTURES}
    for name, number in parameters.items():
        print(f"{name:18} {number:12,}  {ARCHITECTURES[name].source}")
    print(json.dumps(parameters))


def diff(arguments) -> None:
    """Print the fields in which two rows differ."""
    first, second = map(architecture, (arguments.first, arguments.second))
    table = Table("field", first.name, second.name)
    for row in listing.differences(first, second):
        table.add_row(*row)
    terminal.show(table)


def show(arguments) -> None:
    """Print a row layer by layer; draw it if asked."""
    arch = architecture(arguments.name)
    terminal.show(listing.table(arch))
    rows = listing.rows(arch)
    result = {
        "arch": arch.name,
        "parameters": sum(row.parameters for row in rows),
        "flops": sum(row.flops for row in rows),
        "values_received_by_a_column": sum(row.received for row in rows),
    }
    if arguments.figure:
        path = user_path(arguments.figure)
        if path.suffix != ".svg":
            raise UserError(f"--figure is an .svg file; got {path}")
        from alexnet_jax.net import figure  # imports matplotlib, which is slow
        from alexnet_jax.system import pictures

        pictures.save(figure.draw(arch), path)
        result["figure"] = str(path)
    print(json.dumps(result))


def main() -> None:
    """Run one command; an error that the user can fix is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m alexnet_jax.net", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="counts | diff | show")
    commands.add_parser("counts", help="parameters of all nets").set_defaults(run=counts)
    two = commands.add_parser("diff", help="the fields in which two nets differ")
    two.add_argument("first")
    two.add_argument("second")
    two.set_defaults(run=diff)
    one = commands.add_parser("show", help="a net layer by layer")
    one.add_argument("name")
    one.add_argument("--figure", help="draw it into this .svg file, as figure 2 of the paper")
    one.set_defaults(run=show)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (UserError, OSError) as error:
        say(f"error: {error}")
        sys.exit(2)


if __name__ == "__main__":
    main()
