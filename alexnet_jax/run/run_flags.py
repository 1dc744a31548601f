"""The flags by which a command names a run, its checkpoint, other images, and the views."""

from absl import flags

from alexnet_jax.data.input import ten_crops
from alexnet_jax.run import class_matching

flags.disclaim_key_flags()  # so that --help lists them as the command's


def define(
    *, several: bool = False, data_dir: bool = False, classes: bool = False, views: bool = False
) -> None:
    """Define --workdir, which may be repeated for `several` runs, --checkpoint, and those named."""
    if several:
        text = "Folder of the run; may be repeated."
        flags.DEFINE_multi_string("workdir", None, text, required=True)
    else:
        flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
    if data_dir:
        text = "Images, train/<class>/<file> and val/<class>/<file>, in place of the run's."
        flags.DEFINE_string("data_dir", "", text)
    if classes:
        flags.DEFINE_string("classes", "", class_matching.FLAG)
    if views:
        counts = [str(count) for count in ten_crops.VIEWS]
        flags.DEFINE_enum("views", "1", counts, "Views of each image (paper 4.1).")
