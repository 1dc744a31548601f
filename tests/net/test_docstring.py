"""AlexNet's docstring shows the paper's net as `listing` computes it."""

from alexnet_jax.net import listing, resolving
from alexnet_jax.net.alexnet import AlexNet


def lines() -> list[str]:
    """Return one line a layer; on a change of the net or the listing, these go into AlexNet."""
    arch = resolving.architecture("paper")
    rows = [("layer", "reads", "one column computes", "product", "output")]
    for row in listing.rows(arch):
        product, output = ("x".join(map(str, shape)) for shape in (row.product, row.output))
        rows.append(
            (row.layer.name, row.layer.reads, listing.operations(arch, row.layer), product, output)
        )
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return ["".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def test_the_docstring_is_the_listing():
    doc = AlexNet.__doc__.splitlines()
    start = next(i for i, line in enumerate(doc) if line.strip().startswith("layer"))
    assert [line.strip() for line in doc[start : start + 9]] == lines()
