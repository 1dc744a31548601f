"""Facts of the releases of ILSVRC, with which a prepared copy is compared."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts of a release; a fact that is not known is empty.

    Attributes:
      classes: how many.
      images: of each split.
      labels: of some wnids: their index in the sorted order.
      ilsvrc_ids: of some wnids: their number in the development kit.
      images_labels: of some images, by name.
    """

    classes: int
    images: dict[str, int]
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    ilsvrc_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    images_labels: dict[str, int] = dataclasses.field(default_factory=dict)


# Of the first ten validation images of 2012, from Caffe's val.txt, which has the same order.
_VALIDATION_2012 = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)

FACTS = {
    "2012": Facts(
        classes=1000,
        images={"train": 1_281_167, "validation": 50_000},
        labels={"n01440764": 0, "n01443537": 1, "n02119789": 278, "n15075141": 999},
        ilsvrc_ids={"n02119789": 1},  # kit fox
        images_labels={
            f"ILSVRC2012_val_{k:08d}.JPEG": label for k, label in enumerate(_VALIDATION_2012, 1)
        },
    ),
    "2010": Facts(classes=1000, images={"train": 1_261_406, "validation": 50_000, "test": 150_000}),
}
