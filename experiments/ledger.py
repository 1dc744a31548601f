"""The ledger of claims: what the paper says, what the original's log says, and what we found.

    python experiments/ledger.py          # writes the table into experiments/README.md
    python experiments/ledger.py --check  # exit code 1 where it is not what the records say

Figures of ours are read from records/, the paper's and the log's deltas from ablations.py. A claim
without a record is "not run", with the command that runs it.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import generated
from ablations import ABLATIONS, said
from time_to_train import hours, rates

HERE = pathlib.Path(__file__).parent
README, RECORDS = HERE / "README.md", HERE / "records"
NEEDS_ILSVRC, NOT_RUN = "not run: needs ILSVRC", "not run"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim and what is known of it.

    Attributes:
      where: section of the paper, or whose claim it is.
      claim: in few words.
      paper, log: the paper's figure, the original log's.
      command: what runs it.
      ours: returns our figure, with n and scale, from `record`.
      record: a file of records/; "": none.
      verdict: agrees, disagrees, too noisy to say, or not run and why.
    """

    where: str
    claim: str
    paper: str
    log: str
    command: str
    ours: Callable[[Any], str] | None = None
    record: str = ""
    verdict: str = NOT_RUN

    def row(self) -> str:
        """Return the claim's line of the table."""
        found = json.loads((RECORDS / self.record).read_text()) if self.record else None
        ours = self.ours(found) if self.ours else "-"
        record = f"[`{self.record}`](records/{self.record})" if self.record else "-"
        date = found.get("date", "-") if found else "-"
        cells = (self.where, self.claim, self.paper, self.log, ours, f"`{self.command}`")
        return f"| {' | '.join((*cells, record, date, self.verdict))} |"


def colour(found: dict) -> str:
    """Return how far apart the columns are, and what chance gives."""
    return (
        f"the columns differ by {found['difference']:.3f}, by chance up to "
        f"{found['difference_by_chance']:.3f} (n = 1; 40 classes of Tiny ImageNet, step "
        f"{found['step']})"
    )


def starts(found: dict) -> str:
    """Return when each run left ln(classes)."""
    steps: dict[str, list[str]] = {}
    for name, run in found["runs"].items():
        left = run["left_at_step"]
        steps.setdefault(name.rpartition("_")[0], []).append("never" if left is None else str(left))
    said = "; ".join(f"{name}: step {', '.join(left)}" for name, left in sorted(steps.items()))
    return f"2 % below it from {said} on (40 classes of Tiny ImageNet)"


def lrn_cost(found: dict) -> str:
    """Return the shares of a training step."""
    step = found["step_ms"]
    batch = 1 - step["none"] / step["batch"]
    return (
        f"LRN {100 * found['share_of_step']:.1f} % of a step, batch normalization "
        f"{100 * batch:.0f} %; n = 15 against 3: {step['lrn_15'] / step['lrn_3']:.2f}x the step, "
        f"{found['n_15_over_n_3']:.2f}x alone (two CPU cores, batch {found['batch']})"
    )


def cifar_error(found: dict) -> str:
    """Return the test errors of one of cuda-convnet's nets."""
    mean, sd, n = 100 * found["mean"], 100 * found["sd"], len(found["test_errors"])
    return f"{mean:.1f} % ± {sd:.1f} (n = {n}, {found['epochs']} epochs, all 50,000 pictures)"


def clock(found: dict) -> str:
    """Return the days that ninety epochs would take at the measured rates."""
    del found  # time_to_train reads it
    run = rates(RECORDS / "bench_step_cpu.json")
    train, infer = (run[kind]["images_per_second"] for kind in ("train", "inference"))
    return f"{hours(train, infer, math.inf) / 24:.1f} days by its rates (two CPU cores)"


def of_ablation(name: str, where: str, claim: str) -> Claim:
    """Return the claim of an entry of ablations.py."""
    (one,) = [ablation for ablation in ABLATIONS if ablation.name == name]
    command = f"ablations.py --names={name}"
    return Claim(where, claim, said(one.paper), said(one.logged), command, verdict=NEEDS_ILSVRC)


TRAIN = "python -m alexnet_jax.main --config=configs/"
CLAIMS = (
    Claim(
        *("3.1, figure 1", "ReLU reaches 25 % training error on CIFAR-10 faster than tanh"),
        *("6x", "-", "relu_tanh.py"),
    ),
    of_ablation("columns", "3.2", "two columns against one of about as many parameters, points"),
    of_ablation("communication", "3.2", "columns that talk against columns that do not, points"),
    of_ablation("lrn", "3.3", "local response normalization, points"),
    Claim(
        *("3.3", "the same on CIFAR-10: test error without and with it", "13 %, 11 %"),
        *("cuda-convnet: 18 % with it", "cuda_convnet_cifar.py --net=18pct"),
    ),
    Claim(
        *("program", "its small net without normalization: test error on CIFAR-10", "-"),
        *("cuda-convnet: 26 %", "cuda_convnet_cifar.py --net=80sec", cifar_error),
        *("cifar10/80sec.json", "agrees"),
    ),
    of_ablation("pooling", "3.4", "overlapping pooling, points"),
    of_ablation("colour", "4.1", "PCA colour, points"),
    of_ablation("dropout", "4.2", "dropout: without it, substantial overfitting"),
    of_ablation("weight_decay", "5", "weight decay is important for the model to learn"),
    Claim(
        *("5", "ninety epochs on two GTX 580", "5 to 6 days", "-", "time_to_train.py", clock),
        *("bench_step_cpu.json", "-"),
    ),
    Claim(
        *("6, table 1", "one net on ILSVRC-2010's test images, ten views", "37.5 / 17.0"),
        *("37.5 / 17.0", f"{TRAIN}ilsvrc2010.py"),
        verdict=NEEDS_ILSVRC,
    ),
    Claim(
        *("6, table 2", "one net on ILSVRC-2012's validation images, ten views", "40.7 / 18.2"),
        *("40.7 / 18.2", f"{TRAIN}ilsvrc2012_code2012.py"),
        verdict=NEEDS_ILSVRC,
    ),
    Claim(
        *("6, table 2", "one net pretrained on fall 2011", "39.0 / 16.6", "39.0 / 16.6"),
        f"{TRAIN}finetune_ilsvrc2012.py",
        verdict=NEEDS_ILSVRC,
    ),
    Claim(
        *("6.1, figure 3", "one column becomes blind to colour, the other specific", "words", "-"),
        *("python -m alexnet_jax.analysis.colour", colour, "tiny_imagenet_40/colour.json"),
        verdict="too noisy to say",
    ),
    of_ablation("no_conv3", "7", "any of the middle layers, points of top-1"),
    Claim(
        *("users", "with the text's initial values training sits at ln(classes)", "-", "-"),
        *("leaving_chance.py", starts, "leaving_chance/summary.json"),
        verdict="disagrees, at 40 classes: it starts late",
    ),
    Claim(
        *("users", "LRN costs far more than batch normalization, and more with n", "-", "-"),
        *("lrn_cost.py", lrn_cost, "lrn_cost_cpu.json"),
        verdict="disagrees in the net; alone it grows with n",
    ),
)


def table() -> str:
    """Return the ledger as Markdown."""
    head = "| paper | claim | paper's | original's log | ours | command | record | date | verdict |"
    return "\n".join([head, "|" + " --- |" * 9, *(claim.row() for claim in CLAIMS)]) + "\n"


def written(text: str) -> str:
    """Return experiments/README.md with the ledger in its place."""
    return generated.replaced(text, "ledger", "ledger.py", table())


if __name__ == "__main__":
    generated.run(README, written)
