"""The transfers between devices, read from the text of an HLO program, lowered or compiled."""

import collections
import dataclasses
import math
import re

import jax.numpy as jnp
import numpy as np

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
_CALL = re.compile(r" call\(.*to_apply=%?([\w.\-]+)")
_OP = re.compile(rf" = (\(.*?\)|\S+) ({'|'.join(KINDS)})(-start)?\(")
_NAME = re.compile(r'op_name="([^"]*)"')
SHAPE = re.compile(r"([a-z]+\d*(?:e\dm\d\w*)?)\[([\d,]*)\]")
_LAYER = re.compile(r"/((?:conv|fc)\d|bottleneck)/")
_DTYPES = {"f": "float", "bf": "bfloat", "s": "int", "u": "uint"}


@dataclasses.dataclass(frozen=True)
class Collective:
    """One operation that moves numbers between devices."""

    kind: str  # of KINDS
    layer: str  # conv1..fc8 or bottleneck, from the named scope; "" outside the layers
    backward: bool
    devices: int  # in one group
    stride: int  # between neighbouring device numbers in a group: 1 along the mesh's last axis
    shapes: tuple[tuple[str, tuple[int, ...]], ...]  # (dtype, shape) of each result, a device's

    @property
    def result_bytes(self) -> int:
        """Bytes of the results on one device."""
        return sum(itemsize(dtype) * math.prod(shape) for dtype, shape in self.shapes)

    @property
    def received_bytes(self) -> float:
        """Least bytes that each device must receive from others (a ring achieves it)."""
        n = self.devices
        factor = {"all-gather": (n - 1) / n, "reduce-scatter": n - 1, "all-reduce": 2 * (n - 1) / n}
        return self.result_bytes * factor.get(self.kind, 1)


def collectives(program: str) -> list[Collective]:
    """Return the collectives of an HLO program, in the order of its text.

    Args:
      program: `lowered.as_text(dialect="hlo", debug_info=True)` or `compiled.as_text()`.
    """
    lines, callers, inside = [], {}, ""
    for line in program.splitlines():
        name = _NAME.search(line)
        op_name = name.group(1) if name else ""
        if header := _COMPUTATION.match(line):
            inside = header.group(1)
        elif call := _CALL.search(line):
            callers[call.group(1)] = (inside, op_name)
        elif op := _OP.search(line):
            lines.append((inside, op_name, op, line))
    return [
        _collective(_whole_name(inside, name, callers), op, line)
        for inside, name, op, line in lines
    ]


def added(asked: list[Collective], made: list[Collective]) -> dict[str, int]:
    """Return kind -> how many more the compiled program has than XLA was asked for."""
    more = collections.Counter(one.kind for one in made)
    more.subtract(one.kind for one in asked)
    return {kind: count for kind, count in more.items() if count > 0}


def _whole_name(inside: str, op_name: str, callers: dict) -> str:
    """Return an operation's scopes, after those of the calls that lead to it."""
    while inside in callers:
        inside, outer = callers[inside]
        op_name = f"{outer}/{op_name}"
    return f"/{op_name}"


def _collective(op_name: str, op: re.Match, line: str) -> Collective:
    results, kind, start = op.groups()
    shapes = tuple((dtype, tuple(_numbers(sizes))) for dtype, sizes in SHAPE.findall(results))
    if start and kind != "all-reduce":  # (operands, results) of an asynchronous start
        shapes = shapes[len(shapes) // 2 :]
    group = _first_group(line)
    layer = _LAYER.search(op_name)
    return Collective(
        kind=kind,
        layer=layer.group(1) if layer else "",
        backward="transpose(" in op_name,
        devices=len(group),
        stride=group[1] - group[0] if len(group) > 1 else 0,
        shapes=shapes,
    )


def _first_group(line: str) -> list[int]:
    """Return the devices of the first group.

    Written {{0,1},{2,3}}, or [2,2]<=[2,2]T(1,0), or mesh['a'=2,'b'=2] {'b'}.
    """
    if listed := re.search(r"(?:replica_groups|source_target_pairs)=\{\{([\d,]+)\}", line):
        return _numbers(listed.group(1))
    if iota := re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
        groups, dims, order = (_numbers(part) for part in iota.groups(""))
        devices = np.arange(math.prod(dims)).reshape(dims).transpose(order or range(len(dims)))
        return devices.reshape(groups)[0].tolist()
    if axes := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", axes.group(1))}
        within = re.findall(r"'(\w+)'", axes.group(2))
        devices = np.arange(math.prod(sizes.values())).reshape(list(sizes.values()))
        first = tuple(slice(None) if name in within else 0 for name in sizes)
        return devices[first].ravel().tolist()
    raise ValueError(f"a collective with groups of an unknown form: {line.strip()[:200]}")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def itemsize(dtype: str) -> int:
    """Return the bytes of a number of this HLO type: f32, bf16, pred."""
    if dtype == "pred":
        return 1
    prefix = dtype.rstrip("0123456789")
    return jnp.dtype(_DTYPES[prefix] + dtype[len(prefix) :]).itemsize
