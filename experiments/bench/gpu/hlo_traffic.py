"""What each operation of a compiled training step reads and writes, from the text of its HLO."""

import collections
import dataclasses
import math
import re

from experiments.communication.hlo_collectives import SHAPE, itemsize

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_OPERAND = re.compile(r"%([\w.\-]+)")
_CALLS = re.compile(r"(?:calls|to_apply|body)=%?([\w.\-]+)")
_NAME = re.compile(r'op_name="([^"]*)"')
_SCOPE = re.compile(r"/((?:conv|fc)\d|bottleneck)/(?:([a-z]+\d)/)?")
_PRODUCT = re.compile(r"^(convolution|dot)$")
_LIBRARY = re.compile(r'custom_call_target="[^"]*(?:cudnn\$conv|cublas|matmul|onednn)')
_FREE = ("parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of the step's program: a fusion, a library call, a copy.

    Attributes:
      name: its name in the program and in a profile.
      part: conv1..fc8 for a product; norm1, pool1, relu1, dropout6 or several of them with + for
        what a layer does after it; "conv1 rest" for its bias, joins and casts; augment, loss,
        update, other.
      backward: whether it is part of the gradient.
      product: whether it is a convolution or a matrix product.
      read, written: bytes, each operand counted once.
    """

    name: str
    part: str
    backward: bool
    product: bool
    read: int
    written: int

    @property
    def moved(self) -> int:
        """Bytes read and written."""
        return self.read + self.written


@dataclasses.dataclass(frozen=True)
class _Line:
    name: str
    result: str
    opcode: str
    rest: str  # operands and attributes

    @property
    def size(self) -> int:
        return sum(
            itemsize(dtype) * math.prod(int(n) for n in sizes.split(",") if n)
            for dtype, sizes in SHAPE.findall(self.result)
        )

    @property
    def operands(self) -> list[str]:
        return list(dict.fromkeys(_OPERAND.findall(self.rest.split(")")[0])))


def operations(program: str) -> list[Operation]:
    """Return the operations of `compiled.as_text()`, without those inside of others."""
    computations: dict[str, dict[str, _Line]] = collections.defaultdict(dict)
    inside = entry = ""
    for text in program.splitlines():
        if header := _HEADER.match(text):
            inside = header.group(2)
            entry = inside if header.group(1) else entry
        elif line := _LINE.match(text):
            computations[inside][line.group(1)] = _Line(*line.groups())
    lines = computations[entry]
    return [
        _operation(line, lines, computations)
        for line in lines.values()
        if line.opcode not in _FREE and not line.opcode.endswith("-done")
    ]


def _operation(line: _Line, lines: dict[str, _Line], computations: dict) -> Operation:
    called = _CALLS.search(line.rest)
    body: dict[str, _Line] = computations[called.group(1)] if called else {}
    read = 0
    for number, name in enumerate(line.operands):
        size = lines[name].size if name in lines else 0
        read += int(min(size, _read_of(number, body))) if line.opcode == "fusion" else size
    names = [_NAME.search(each.rest) for each in (*body.values(), line)]
    scopes = [f"/{name.group(1)}" if name else "" for name in names]
    product = bool(_LIBRARY.search(line.rest)) or any(
        _PRODUCT.match(each.opcode) for each in (*body.values(), line)
    )
    return Operation(
        name=line.name,
        part=_part(scopes, product),
        backward="transpose(" in scopes[-1],
        product=product,
        read=read,
        written=line.size,
    )


def _read_of(number: int, body: dict[str, _Line]) -> float:
    """Return the bytes of parameter `number` that a fusion reads: less where it takes slices."""
    start = f"{number})"
    parameter = next(
        (x for x in body.values() if x.opcode == "parameter" and x.rest.startswith(start)), None
    )
    return _used(parameter.name, body) if parameter else math.inf


def _used(name: str, body: dict[str, _Line]) -> float:
    total = 0.0
    for line in body.values():
        if name in line.operands and line.opcode != "parameter":
            if line.opcode == "bitcast":
                total += _used(line.name, body)
            else:
                total += line.size if "slice" in line.opcode else math.inf
    return total


def _part(scopes: list[str], product: bool) -> str:
    """Return the part of the step, from the scopes of what is fused and then of the whole.

    The layer is that of the whole: XLA may share a function such as relu, and so its scope, among
    layers.
    """
    last = scopes[-1]
    if not (of := _SCOPE.search(last)):
        if "jvp(" in last:
            views = any("vmap(" in scope and not _SCOPE.search(scope) for scope in scopes)
            return "augment" if views else "loss"
        return "update" if last else "other"
    layer = of.group(1)
    inner = {match.group(2) for scope in scopes if (match := _SCOPE.search(scope))} - {None}
    here = sorted(name for name in inner if name[-1] == layer[-1])
    if product or not here:
        return layer if product else f"{layer} rest"
    return "+".join(here)
