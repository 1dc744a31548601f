"""Flip bits and blank sectors in the scans of photographs, and count what is noticed.

    python -m tests.data.decode.flip_bits FOLDER

A scan has no checksum: after many flips it is still a valid one, of another picture (docs/data.md).
Prints the share of undamaged files that are refused, too.
"""

import collections
import json
import pathlib
import sys

import numpy as np

from alexnet_jax.data.decode.images import BadImageError, to_square

PHOTOGRAPHS, FLIPS, SECTOR = 50, 4, 512


def outcome(data: bytes, flipped: bytes) -> str:
    """Return named, same, or what differs in silence: more or less than 1 % of the pixels."""
    try:
        square = to_square(flipped, "x.jpg")
    except BadImageError:
        return "named"
    difference = np.abs(square.astype(int) - to_square(data, "x.jpg")).max(axis=2)
    if not difference.any():
        return "same"
    return "visible" if (difference > 8).mean() > 0.01 else "below 1 % of the pixels"


def main() -> None:
    names = sorted(p for p in pathlib.Path(sys.argv[1]).rglob("*") if p.suffix.lower() == ".jpeg")
    refused = []
    for name in names:
        try:
            to_square(name.read_bytes(), name.name)
        except BadImageError as error:
            refused.append(str(error))
    rng, flips = np.random.default_rng(0), collections.Counter[str]()
    sectors = collections.Counter[str]()
    for k in rng.choice(len(names), PHOTOGRAPHS, replace=False):
        data = names[k].read_bytes()
        scan = data.rindex(b"\xff\xda") + 14
        for _ in range(FLIPS):
            flipped = bytearray(data)
            flipped[int(rng.integers(scan, len(data) - 2))] ^= 1 << int(rng.integers(8))
            flips[outcome(data, bytes(flipped))] += 1
        lost = bytearray(data)
        at = (scan + len(data)) // 2 // SECTOR * SECTOR
        lost[at : at + SECTOR] = bytes(len(lost[at : at + SECTOR]))
        sectors[outcome(data, bytes(lost))] += 1
    found = {"undamaged": len(names), "refused": refused, "flips": flips, "lost sectors": sectors}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
