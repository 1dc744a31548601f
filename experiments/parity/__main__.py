"""Compare our nets with independent programs: same parameters and images, logits and gradients.

    python -m experiments.parity --arch=code2012 [--columns=N] [--images=FOLDER] [--layers=FOLDER]

None of the references reads our table of architectures. They are PyTorch in float64, for every
architecture; with --layers the layer files of the released program, run by PyTorch, for its nets;
plain NumPy in float64, for code2012; OpenCV, which reads Caffe's files, for caffe and caffenet,
logits only. PyTorch in float32 stands beside them, to show the error of float32 itself. Images are
seeded noise, or the centres of the first photographs of a folder.

--write stores the answer (tests/net/parity_numbers/parity_*.npz), so that tests/net/test_parity.py
needs none of these programs. --record adds the errors to records/parity.json: to "rows", or to
"beyond_limit" where an error reaches the limit (inputs on a tie; --search looks for others). The
last line is JSON. The exit code is 1 if an error reaches the limit.
"""

import json
import pathlib
import platform
import sys
from collections.abc import Iterator

import jax
import numpy as np
import torch
from absl import flags

from alexnet_jax.errors import UserError
from alexnet_jax.net import architecture, variants
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import write_atomic
from alexnet_jax.system.paths import user_path
from experiments.parity import cases, numpy_code2012, torch_references
from experiments.parity.cases import Tensors, relative_error
from experiments.parity.program_layers import FILES

RECORD = pathlib.Path(__file__).parents[1] / "records/parity.json"

Answer = tuple[np.ndarray, Tensors]  # logits, gradients


def images_for(arch: architecture.Architecture, noise: np.ndarray) -> np.ndarray:
    """Return the photographs that --images names, or the noise."""
    if flags.FLAGS.images is None:
        return noise
    return cases.photographs(user_path(flags.FLAGS.images), arch.image_size)


def chosen_seed(arch: architecture.Architecture) -> int:
    """Return the seed of the flag, the farthest from a tie of a search, or the stored one."""
    if flags.FLAGS.seed is not None:
        return flags.FLAGS.seed
    distances = {}
    for seed in range(flags.FLAGS.search):
        params, noise, _ = cases.inputs(arch, seed)
        distances[seed] = torch_references.nearest_tie(arch.name, params, images_for(arch, noise))
    if distances:
        return max(distances, key=distances.__getitem__)
    return cases.SEEDS[arch.name, arch.columns]


def references(name: str, params, images, labels) -> Iterator[tuple[str, Answer]]:
    """Yield each independent program and its answer; OpenCV and NumPy give logits only."""
    exact = torch_references.answer(name, params, images, labels)
    yield f"PyTorch {torch.__version__}, float64", exact
    if flags.FLAGS.layers and name in FILES:
        file = f"layers-{FILES[name]}.cfg"
        layers = user_path(flags.FLAGS.layers)
        answer = torch_references.answer(name, params, images, labels, layers=layers)
        yield f"released {file} by PyTorch {torch.__version__}, float64", answer
    if name == "code2012":
        yield f"NumPy {np.__version__}, float64", (numpy_code2012.logits(params, images), {})
    if name in ("caffe", "caffenet"):
        from experiments.parity import opencv_caffe  # not everybody who has PyTorch has OpenCV 4

        program = f"OpenCV {opencv_caffe.cv2.__version__}, float32"
        yield program, (opencv_caffe.logits(name, params, images), {})


def compared(ours: Answer, reference: Answer) -> dict:
    """Return the errors of the logits and of the worst gradient, and that gradient's name."""

    def error(one: np.ndarray, right: np.ndarray) -> float:
        return float(f"{relative_error(one, right):.2g}")

    errors: dict = {"logits": error(ours[0], reference[0])}
    if reference[1]:
        table = {name: error(ours[1][name], grad) for name, grad in reference[1].items()}
        worst = max(table, key=table.__getitem__)
        errors |= {"gradients": len(table), "largest_gradient": table[worst], "of": worst}
    return errors


def store(arch: architecture.Architecture, inputs, answer: Answer) -> None:
    """Write the numbers that the tests compare with: the summary, or the logits alone."""
    kept = answer[1] if (arch.name, arch.columns) in cases.WITH_GRADIENTS else {}
    summary = cases.summary(answer[0], kept)
    rounded = {name: value.astype(np.float32) for name, value in summary.items()}
    rounded["inputs"] = cases.last_drawn(*inputs)
    # mypy takes the names for the flag that np.savez_compressed has beside them
    np.savez_compressed(cases.stored(arch.name, arch.columns), **rounded)  # type: ignore


def record(row: dict, *, within: bool) -> None:
    """Put a row into the record; it replaces an older one of the same net and images."""
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    names = list(variants.ARCHITECTURES)

    def key(row):
        return (row["images"], names.index(row["arch"]), -row["columns"])

    tables = {name: kept.get(name, []) for name in ("rows", "beyond_limit")}
    mine = "rows" if within else "beyond_limit"
    tables[mine] = [old for old in tables[mine] if key(old) != key(row)] + [row]
    head = {
        "command": "python -m experiments.parity --arch=NAME [--columns=1] "
        "[--images=FOLDER] [--layers=FOLDER] --record",
        "what": "relative error (largest difference over the largest value) of our float32",
        "limit": cases.LIMIT,
        "seeds": "the stored ones; photographs: --search=6 where the stored one falls on a tie and "
        "a gradient jumps, in PyTorch's float32 as in ours: beyond_limit",
        "versions": {"jax": jax.__version__, "machine": f"CPU, {platform.machine()}"},
    }
    text = json.dumps(head, indent=2)[:-2]
    for name, rows in tables.items():
        lines = ",\n".join("    " + json.dumps(row) for row in sorted(rows, key=key))
        text += f',\n  "{name}": [\n{lines}\n  ]'
    write_atomic(RECORD, text + "\n}\n")


def define_flags() -> None:
    """Define the command line."""
    names = list(variants.ARCHITECTURES)
    flags.DEFINE_enum("arch", "code2012", names, "Architecture.")
    flags.DEFINE_integer("columns", None, "Of the net; default: the architecture's.")
    flags.DEFINE_string("images", None, "Folder of JPEGs, at any depth; default: noise.")
    flags.DEFINE_string("layers", None, "Folder of the released program's layer files.")
    flags.DEFINE_integer("seed", None, "Of parameters and noise; default: the stored seed.")
    flags.DEFINE_integer("search", 0, "Take the seed farthest from a tie, of this many.")
    flags.DEFINE_bool("write", False, "Store the answer for tests/net/test_parity.py.")
    flags.DEFINE_bool("record", False, "Add the errors to records/parity.json.")


def main(_) -> None:
    """Compare, print a line for each reference, and store if asked."""
    given = flags.FLAGS
    arch = cases.net_of(given.arch, given.columns)
    seed = chosen_seed(arch)
    params, noise, labels = cases.inputs(arch, seed)
    images = images_for(arch, noise)
    if given.write and given.images:
        raise UserError("--write stores answers to noise only; leave out --images")
    ours = cases.answer_of(arch, params, images, labels)
    rows: list[dict] = []
    for program, answer in references(arch.name, params, images, labels):
        if not rows:
            exact = answer
        rows.append({"program": program, **compared(ours, answer)})
        print(json.dumps(rows[-1]))
    if given.write:
        store(arch, (params, noise, labels), exact)
    single = torch_references.answer(arch.name, params, images, labels, dtype="float32")
    result = {
        "arch": arch.name,
        "columns": arch.columns,
        "images": "photographs" if given.images else "noise",
        "seed": seed,
        "nearest_tie": float(f"{torch_references.nearest_tie(arch.name, params, images):.2g}"),
        "ours_against": rows,
        "pytorch_float32_against_float64": compared(single, exact),
    }
    errors = [row.get("largest_gradient", 0.0) for row in rows] + [row["logits"] for row in rows]
    within = all(error < cases.LIMIT for error in errors)  # NaN is not
    if given.record:
        record(result, within=within)
    print(json.dumps(result | {"largest_error": max(errors)}))
    sys.exit(not within)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
