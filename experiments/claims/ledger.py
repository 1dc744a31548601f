"""The ledger of claims: the paper's figure, the one of the original's log, and ours.

    python -m experiments.claims.ledger          # writes the table into experiments/README.md
    python -m experiments.claims.ledger --check  # exit code 1 where it differs from the records

Our figures come from records/, the paper's and the log's differences from sweeps/ablations.py. A
claim without a record is "not run", with the command that would run it. The column "miniature" is
of 50 classes of Tiny ImageNet, with its own verdict (miniature/protocol.py).
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

from alexnet_jax.system import command_line
from experiments.claims import figures, generated, miniature
from experiments.claims.figures import RECORDS
from experiments.miniature.protocol import BASELINE, PRETRAINED
from experiments.sweeps.ablations import ABLATIONS, text

HERE = pathlib.Path(__file__).parents[1]
README = HERE / "README.md"
NEEDS_ILSVRC, NOT_RUN = "not run: needs ILSVRC", "not run"
RUN = "python -m experiments."
SMALL = "ablations/tiny_imagenet.json"  # at a scale far below the paper's


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim and its evidence.

    Attributes:
      where: section of the paper, or who makes the claim.
      claim: in few words.
      paper, log: the paper's figure, the original log's.
      command: runs the experiment.
      ours: returns our figure, with n and scale, from the content of `record`.
      record: a file of records/; "": none.
      verdict: agrees, disagrees, too noisy to say, or not run and why.
      miniature: the entry of the miniature that tries it; "": none.
    """

    where: str
    claim: str
    paper: str
    log: str
    command: str
    ours: Callable[[Any], str] | None = None
    record: str = ""
    verdict: str = NOT_RUN
    miniature: str = ""

    def row(self) -> tuple[str, ...]:
        """Return the claim's row of the table."""
        content = json.loads((RECORDS / self.record).read_text()) if self.record else None
        ours = self.ours(content) if self.ours else "-"
        record = f"[`{self.record}`](records/{self.record})" if self.record else "-"
        date = content.get("date", "-") if content else "-"
        small = miniature.text(self.miniature)
        cells = (self.where, self.claim, self.paper, self.log, small, ours, f"`{self.command}`")
        return (*cells, record, date, self.verdict)


def of_ablation(name: str, where: str, claim: str) -> Claim:
    """Return the claim of an ablation, with our small run of it where there is one."""
    (one,) = [ablation for ablation in ABLATIONS if ablation.name == name]
    command = f"{RUN}sweeps.ablations --names={name}"
    start = (where, claim, text(one.paper), text(one.logged), command)
    run = json.loads((RECORDS / SMALL).read_text())
    if not (rows := [row for row in run["settings"] if row["setting"] == name]):
        return Claim(*start, verdict=NEEDS_ILSVRC, miniature=name)
    (row,) = rows
    ours = functools.partial(figures.small_run, row=row)
    return Claim(*start, ours, SMALL, figures.sign(row), miniature=name)


TRAIN = "python -m alexnet_jax.main --config=configs/"
TEN_VIEWS = "python -m alexnet_jax.evaluate --views=10"
CLAIMS = (
    Claim(
        *("3.1, figure 1", "ReLU reaches 25 % training error on CIFAR-10 faster than tanh", "6x"),
        *("-", f"{RUN}sweeps.figure1 --config=cifar_figure1", figures.epochs_to_target),
        *("cifar10/figure1.json", "agrees"),
        miniature="relu",
    ),
    of_ablation("columns", "3.2", "two columns against one of about as many parameters, points"),
    of_ablation("communication", "3.2", "columns that talk against columns that do not, points"),
    of_ablation("lrn", "3.3", "local response normalization, points"),
    Claim(
        *("3.3", "the same on CIFAR-10: test error without and with it", "13 %, 11 %"),
        *("cuda-convnet: 18 % with it", f"{RUN}sweeps.sweep --config=cifar18"),
        figures.cifar_error,
        *("cifar10/18pct.json", "18 % agrees (19.4 % on JPEG copies); without it: not run"),
    ),
    Claim(
        *("program", "its small net without normalization: test error on CIFAR-10", "-"),
        *("cuda-convnet: 26 %", f"{RUN}sweeps.sweep --config=cifar26", figures.cifar_error),
        *("cifar10/80sec.json", "agrees"),
    ),
    of_ablation("pooling", "3.4", "overlapping pooling, points"),
    of_ablation("colour", "4.1", "PCA colour, points"),
    of_ablation("dropout", "4.2", "dropout: without it, substantial overfitting"),
    of_ablation("weight_decay", "5", "weight decay is important for the model to learn"),
    Claim(
        *("5", "ninety epochs on two GTX 580", "5 to 6 days", "-"),
        *(f"{RUN}bench.time_to_train", figures.clock, "bench_step_cpu.json", "-"),
    ),
    Claim(
        *("6, table 1", "one net on ILSVRC-2010's test images, ten views", "37.5 / 17.0"),
        *("37.5 / 17.0", f"{TRAIN}ilsvrc2010.py && {TEN_VIEWS} --split=test"),
        verdict=NEEDS_ILSVRC,
        miniature=BASELINE,
    ),
    Claim(
        *("6, table 2", "one net on ILSVRC-2012's validation images, ten views", "40.7 / 18.2"),
        *("40.7 / 18.2", f"{TRAIN}ilsvrc2012_code2012.py && {TEN_VIEWS}"),
        verdict=NEEDS_ILSVRC,
    ),
    Claim(
        *("6, table 2", "one net pretrained on fall 2011", "39.0 / 16.6", "39.0 / 16.6"),
        f"{TRAIN}finetune_ilsvrc2012.py && {TEN_VIEWS}",
        verdict=NEEDS_ILSVRC,
        miniature=PRETRAINED,
    ),
    Claim(
        *(
            "6.1, figure 3",
            "one column becomes blind to colour, the other colour-specific",
            "words",
            "-",
        ),
        *("python -m alexnet_jax.analysis.colour", figures.colour, "tiny_imagenet/colour.json"),
        verdict="too noisy to say",
        miniature=miniature.FIGURE3,
    ),
    of_ablation("no_conv3", "7", "any of the middle layers, points of top-1"),
    Claim(
        *("users", "with the text's initial values training sits at ln(classes)", "-", "-"),
        *(f"{RUN}start.leaving_chance", figures.starts, "leaving_chance/summary.json"),
        verdict="disagrees, at 40 classes: it starts late",
    ),
    Claim(
        *("users", "LRN with k = 1 or 2 stays at chance on normalized input", "-", "-"),
        *(f"{RUN}start.plateau_map --map=norm", figures.norm_map, "plateau/norm.json"),
        verdict="agrees, but it is the input: so does the net without it",
    ),
    Claim(
        *("users", "with an initial deviation of 0.01 training does not start", "-", "-"),
        *(f"{RUN}start.plateau_map --map=start", figures.start_map, "plateau/start.json"),
        verdict="agrees for normalized input only",
    ),
    Claim(
        *("users", "LRN costs far more than batch normalization, and more with n", "-", "-"),
        *(f"{RUN}bench.lrn_cost", figures.lrn_cost, "lrn_cost_cpu.json"),
        verdict="disagrees in the net; alone it grows a little with n",
    ),
)


def table() -> str:
    """Return the ledger as Markdown."""
    columns = ("paper", "claim", "paper's", "original's log", "miniature", "ours", "command")
    head = (*columns, "record", "date", "verdict")
    return generated.table(head, [claim.row() for claim in CLAIMS])


def written(text: str) -> str:
    """Return experiments/README.md with the new ledger."""
    return generated.replaced(text, "ledger", "python -m experiments.claims.ledger", table())


if __name__ == "__main__":
    generated.define_flags()
    command_line.run(lambda _: generated.write(README, written))
