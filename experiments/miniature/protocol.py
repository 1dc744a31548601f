"""What the miniature runs, fixed before the first run: images, recipe, seeds, list, test.

Images. Tiny ImageNet has 200 classes of 500 training images. Every fourth wnid in sorted order is a
target class (50), the others are the source of the pretraining (150). Of each class the images
numbered 0 to 449 are for training and 450 to 499 are held out: a run is validated on them after
each epoch. Nothing is chosen by them. The test set is Tiny ImageNet's validation images of the
target classes, 50 of each. A run sees them once, at its end, with ten views.

Recipe. configs/miniature.py: 24 epochs, three drops at fixed epochs. The last state counts.

Test of a difference. Errors with and without an idea are paired by seed and by image. The variance
of the mean difference is the sum of two parts: that over seeds, pooled over all ablations, since
three seeds alone say little of a variance; and that over images, by a bootstrap that draws the test
images. The interval of 95 % is Student's, with the degrees of freedom of the pooled part.

Verdict. The paper's sign counts, not its size, since the scale is far below the paper's. agrees:
the interval has the paper's sign only. disagrees: it has the other sign only. too small to see: it
has both. too few seeds: one. not run: none.
"""

import dataclasses

from experiments.sweeps.ablations import ABLATIONS, Points
from experiments.sweeps.runs import Setting

RECIPE = "miniature"
EVERY, HELD_OUT_FROM = 4, 450
BASELINE = "baseline"
PRETRAINED, PRETRAINING = "pretrained", "pretraining"  # the net, and the one it begins from


@dataclasses.dataclass(frozen=True)
class Entry:
    """A setting of the list.

    Attributes:
      setting: its name, and the fields that it changes.
      claim: what the paper says of it, with the section.
      seeds: how many runs it has.
      worth: entries of a lower number run first.
      paper: more top-1 and top-5 error than the baseline, in points; None: the paper has no number.
      sign: 1: the paper expects more error than the baseline's; -1: less; 0: it says neither.
    """

    setting: Setting
    claim: str
    seeds: int = 3
    worth: int = 2
    paper: Points | None = None
    sign: int = 1

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.setting.name


_FIRST = {
    "lrn": "paper 3.3: without response normalization",
    "pooling": "paper 3.4: windows of 2, which do not overlap",
    "columns": "paper 3.2: one column of about as many parameters",
    "dropout": "paper 4.2: without dropout, substantial overfitting",
    "colour": "paper 4.1: without the colour noise, over 1 point",
    "crops_and_flips": "paper 4.1: without crops and flips, substantial overfitting",
}
_DEPTH = "paper 7: about 2 points for any of the middle layers"
_OTHERS = {
    "communication": "paper 3.2: columns that meet in the classes only; the paper has no number",
    "relu": "paper 3.1, figure 1: tanh, which learns six times slower",
    "weight_decay": "paper 5: without weight decay, which is important for the model to learn",
    "no_conv3": _DEPTH,
    "no_conv4": _DEPTH,
    "no_conv5": _DEPTH,
}


def _of_ablation(name: str, claim: str, worth: int) -> Entry:
    (one,) = [ablation for ablation in ABLATIONS if ablation.name == name]
    setting = Setting(name, tuple(one.overrides.items()))
    return Entry(setting, claim, worth=worth, paper=one.paper)


# The released program's rate for biases, its mean, crops and colour.
_CODE2012 = {
    "optimizer.bias_learning_rate": "0.02",
    "optimizer.bias_drops": "False",
    "data.colour_unit": "deviation",
    "data.colour_rescale": "True",
    "data.mean": "centre",
    "data.crop_chunk": "32",
}
# The text's N(0, 0.01) in conv3 to conv5, times 2 for a quarter of the width.
_TEXT = {f"model.init.std.{layer}": "0.02" for layer in ("conv3", "conv4", "conv5")}

# As net 146-2012-2011: all layers but the classes are taken, and have a tenth of the rate.
FINE_TUNING = {
    "init_layers": "('conv1','conv2','conv3','conv4','conv5','fc6','fc7')",
    "optimizer.learning_rate": "0.001",
    "schedule.layers": "(('fc8', 0, 10.0),)",
}

ENTRIES = (
    Entry(Setting(BASELINE), "the whole recipe", seeds=5, worth=1),
    *(_of_ablation(name, claim, 1) for name, claim in _FIRST.items()),
    Entry(
        Setting(PRETRAINED, tuple(FINE_TUNING.items())),
        "paper 6, table 2: a net pretrained on other classes, then fine-tuned",
        seeds=2,
        paper=(-1.7, -1.6),
        sign=-1,
    ),
    *(_of_ablation(name, claim, 3) for name, claim in _OTHERS.items()),
    *(
        Entry(
            Setting(f"no_{layer}", (("model.drop_layers", layer),)),
            "paper 7: depth is important; no number for this layer",
            worth=4,
        )
        for layer in ("fc6", "fc7")
    ),
    Entry(
        Setting("batch_norm", (("model.norm", "batch"),)),
        "after the paper (2015): batch normalization in the place of LRN",
        worth=4,
        sign=0,
    ),
    Entry(
        Setting("text_initial_values", tuple(_TEXT.items())),
        "paper 5: N(0, 0.01) in every layer; the program had 0.03 in conv3 to conv5",
        worth=4,
        sign=0,
    ),
    Entry(
        Setting("code2012_update", tuple(_CODE2012.items())),
        "the released program: biases at 0.02 without drops, its mean, crops and colour",
        worth=4,
        sign=0,
    ),
)
