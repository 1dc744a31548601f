"""What is known of the releases of ILSVRC, to hold a prepared copy against."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts of a release; what is not known is empty.

    Attributes:
      classes: how many.
      images: of each split.
      labels: the place of some wnids in the sorted order.
      ilsvrc_ids: the development kit's number of some wnids.
      images_labels: the label of some images by name.
    """

    classes: int
    images: dict[str, int]
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    ilsvrc_ids: dict[str, int] = dataclasses.field(default_factory=dict)
    images_labels: dict[str, int] = dataclasses.field(default_factory=dict)


# The first ten validation images of 2012 as Caffe's val.txt has them, whose labels are sorted too.
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
