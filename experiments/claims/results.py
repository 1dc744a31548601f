"""The table of results in README.md, and that of first steps in docs/train.md, from the records.

python -m experiments.claims.results          # writes them
python -m experiments.claims.results --check  # exit code 1 where they differ from the records
"""

import json
import math
import pathlib
from typing import Any

from alexnet_jax.system import command_line
from experiments.claims import figures, generated, miniature

HERE = pathlib.Path(__file__).parents[1]
RECORDS = HERE / "records"
README, TRAIN = HERE.parent / "README.md", HERE.parent / "docs" / "train.md"
MODULE = "python -m experiments.claims.results"
SEEDS = 3  # of leaving_chance.py


def read(record: str) -> Any:
    """Return a record of records/."""
    return json.loads((RECORDS / record).read_text())


def rows() -> list[tuple[str, str]]:
    """Return the rows: the measurement in words, and the figure."""
    return [*parity(), *speed(), *loader(), *norms(), *cifar(), *tiny_imagenet(), *in_miniature()]


def parity() -> list[tuple[str, str]]:
    """Return the largest error beside independent programs."""
    compared = read("parity.json")["rows"]
    largest = max(
        max(other["logits"], other.get("largest_gradient", 0.0))
        for row in compared
        for other in row["ours_against"]
    )
    nets = len({row["arch"] for row in compared})
    what = (
        f"logits and gradients of the {nets} nets of ILSVRC against independent programs "
        "(PyTorch, OpenCV, NumPy), same weights, float32, noise and photographs, weights chosen "
        "away from ties¹: largest relative error"
    )
    return [(what, f"{largest:.1e}".replace("e-0", "e-"))]


def speed() -> list[tuple[str, str]]:
    """Return images/s and the ratios to other programs, of training and inference, by batch."""
    record = read("bench_step_cpu.json")
    rows = []
    for run in (*record["runs"], *record["small"]):
        trained, torch = run["train"], run["versions"]["torch"].partition("+")[0]
        net = "the paper's net" if run["arch"] == "paper" else "the net of 64-pixel pictures"
        what = f"training {net}, batch {trained['batch']}{_kind(run)}, "
        what += f"beside PyTorch {torch} eager; compiled"
        ratios = (trained[f"ratio_to_torch_{form}"] for form in ("eager", "compiled"))
        rows.append((what, _rate_and_ratios(trained["images_per_second"], *ratios)))
    for run in record["inference"]:
        rates, rivals = run["inference"], ("torch_compiled", "onnxruntime", "openvino")
        what = f"inference of the paper's net, batch {run['batch']}{_kind(run)}, "
        what += "beside PyTorch compiled; ONNX Runtime {}; OpenVINO {}".format(
            *(rates[name]["version"] for name in rivals[1:])
        )
        ratios = (rates[name]["ratio"] for name in rivals)
        rows.append((what, _rate_and_ratios(rates["ours"]["images_per_second"], *ratios)))
    return rows


def _kind(run: dict) -> str:
    """Return the width of the processor's vectors, where it is not that of the first records."""
    bits = run["vector_bits"]
    return "" if bits == 512 else f", a processor with {bits or 'unknown'}-bit vectors"


def _rate_and_ratios(rate: float, *ratios: float) -> str:
    return f"{rate:.0f} images/s: {'; '.join(f'{ratio:.2f}x' for ratio in ratios)}"


def loader() -> list[tuple[str, str]]:
    """Return the loader's rate beside decoding, PyTorch's and the step."""
    (run,) = [run for run in read("data_cpu.json")["runs"] if run.get("quiet")]
    rate = round(run["images_per_second"]["loader"], -1)
    return [
        (
            f"our loader on {run['cores']} cores, beside the bare decoding of all cores; PyTorch's "
            "DataLoader with PIL",
            f"{rate:,.0f} images/s: {run['loader_to_decode']:.2f}x; "
            f"{run['loader_to_torch_pil']:.1f}x",
        ),
        (
            "images/s of training fed by our loader, beside training on resident data",
            f"{run['training_to_step']:.2f}x",
        ),
    ]


def norms() -> list[tuple[str, str]]:
    """Return the cost of the norms."""
    record = read("lrn_cost_cpu.json")
    lrn, batch = (figures.shares_of_step(record, name) for name in ("lrn_5", "batch"))
    what = (
        "share of a training step that response normalization takes (below the noise); that batch "
        "normalization in its place takes"
    )
    shares = f"{figures.low_to_high(lrn, '.1f')} %; {figures.low_to_high(batch, '.0f')} %"
    return [(f"{what}, {len(record['runs'])} runs", shares)]


def cifar() -> list[tuple[str, str]]:
    """Return the results of the small nets on all of CIFAR-10."""
    race = (
        "ReLU beside tanh to 25 % training error on CIFAR-10 (the paper: 6x faster; ours drawn as "
        "its [figure 1](experiments/records/cifar10/figure1.svg))"
    )
    small = "cuda-convnet's small net on CIFAR-10 (its own: 26 %): test error"
    normalized = "cuda-convnet's net with response normalization (its own: 18 %): test error"
    return [
        (race, figures.epochs_to_target(read("cifar10/figure1.json"))),
        (small, figures.cifar_error(read("cifar10/80sec.json"))),
        (normalized, figures.cifar_error(read("cifar10/18pct.json"))),
    ]


def tiny_imagenet() -> list[tuple[str, str]]:
    """Return the errors of the paper's recipe on Tiny ImageNet."""
    what = (
        "the paper's recipe on all 200 classes of Tiny ImageNet, the net of 64-pixel pictures half "
        "as wide: top-1 / top-5 error with one view; with ten"
    )
    errors = [
        f"{100 * row['top1_error']:.1f} / {100 * row['top5_error']:.1f} %"
        for row in sorted(read("tiny_imagenet/evaluation.json")["rows"], key=lambda r: r["views"])
    ]
    epochs = read("tiny_imagenet/config.json")["epochs"]
    return [(what, f"{'; '.join(errors)} (n = 1, {epochs} epochs)")]


def in_miniature() -> list[tuple[str, str]]:
    """Return the effects of the paper's ideas in the miniature."""
    what = (
        "in miniature (50 classes of Tiny ImageNet): points of top-1 error more without response "
        "normalization; with one column; with pooling that does not overlap; without colour noise"
    )
    names = ("lrn", "columns", "pooling", "colour")
    return [(what, "; ".join(miniature.text(name) for name in names))]


def table() -> str:
    """Return the table of figures as Markdown."""
    return generated.table(("what", "figure"), rows())


def starts() -> str:
    """Return the table of when each recipe left ln(classes), and its loss then, as Markdown."""
    record = read("leaving_chance/summary.json")
    classes = round(math.exp(record["chance"]))
    lines = []
    for arch, recipe in (("paper", "image_folder"), ("code2012", "ilsvrc2012_code2012")):
        runs = [record["runs"].get(f"{recipe}_{seed}") for seed in range(SEEDS)]
        lines.append((f"`{arch}`", *map(_start, runs)))
    head = f"first step from which the loss stays 2 % below ln({classes}), and the loss at the end"
    return generated.table((head, *(f"seed {seed}" for seed in range(SEEDS))), lines)


def _start(run: dict[str, Any] | None) -> str:
    if run is None:
        return "not run"
    left = "never" if run["left_at_step"] is None else f"{run['left_at_step']:g}"
    return f"{left}; {run['last_loss']:.2f} at step {run['steps']}"


def results_written(text: str) -> str:
    """Return README.md with its table made anew."""
    return generated.replaced(text, "results", MODULE, table())


def starts_written(text: str) -> str:
    """Return docs/train.md with its table made anew."""
    return generated.replaced(text, "starts", MODULE, starts())


def main(_) -> int:
    """Write both pages, or compare them."""
    pages = ((README, results_written), (TRAIN, starts_written))
    return max(generated.write(path, written) for path, written in pages)


if __name__ == "__main__":
    generated.define_flags()
    command_line.run(main)
