"""Known facts about the datasets that are downloaded, to compare a prepared copy with."""

import dataclasses

from alexnet_jax.data.sources.source import WHOLE


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a dataset; one that is not known is empty.

    Attributes:
      classes: number of classes.
      images: split -> number of images.
      labels: class name -> label, for some classes.
      ilsvrc_ids: wnid -> number in the development kit, for some wnids.
      images_labels: name -> label, for some images.
    """

    classes: int
    images: dict[str, int]
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    ilsvrc_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    images_labels: dict[str, int] = dataclasses.field(default_factory=dict)


# Labels of the first ten validation images of 2012, from Caffe's val.txt: its labels equal ours.
_VALIDATION_2012 = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)

FACTS = {
    "2012": Facts(
        classes=1000,
        images=WHOLE["2012"][1],
        labels={"n01440764": 0, "n01443537": 1, "n02119789": 278, "n15075141": 999},
        ilsvrc_ids={"n02119789": 1},  # kit fox
        images_labels={
            f"ILSVRC2012_val_{k:08d}.JPEG": label for k, label in enumerate(_VALIDATION_2012, 1)
        },
    ),
    "cifar10": Facts(
        classes=10, images=WHOLE["cifar10"][1], labels={"airplane": 0, "cat": 3, "truck": 9}
    ),
    "tiny_imagenet": Facts(
        classes=200,
        images=WHOLE["tiny_imagenet"][1],
        labels={"n01443537": 0, "n01629819": 1, "n12267677": 199},
    ),
    "2010": Facts(classes=1000, images=WHOLE["2010"][1]),
}
