"""Export a trained net as one function in one file, for use without this package.

    python -m alexnet_jax.export --workdir=runs/ilsvrc2012 --out=alexnet.jaxexport --views=10

`jax.export.deserialize` reads the file. Its function takes images (b, size, size, 3) uint8 RGB,
for any b, and returns a dictionary of logits (views, b, classes) and probabilities (b, classes)
float32, averaged over the views. The weights and the mean are in it. It runs on CPU, CUDA and TPU.
alexnet.json beside it holds classes (their names, in order), size (the run's data.size), views,
arch and step. The last line is one JSON object.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import Array, export, lax

from alexnet_jax.data.input import augment
from alexnet_jax.errors import ConfigError
from alexnet_jax.net.values import merge, structure_of
from alexnet_jax.run import class_names
from alexnet_jax.run.restore import Restored, restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import atomic_file, write_atomic
from alexnet_jax.system.paths import user_path

FLAGS = flags.FLAGS
PLATFORMS = ("cpu", "cuda", "tpu")


def define_flags() -> None:
    """Define what this command takes."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    flags.DEFINE_string("out", None, "The file, ending in .jaxexport.", required=True)
    views = [str(views) for views in augment.VIEWS]
    flags.DEFINE_enum("views", "1", views, "Views of each image (paper 4.1).")
    flags.DEFINE_string("classes", "", class_names.FLAG)
    flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")


def main(_) -> None:
    """Write the files that the flags name."""
    out = user_path(FLAGS.out)
    if out.suffix != ".jaxexport":
        raise ConfigError(f"--out ends in .jaxexport; got {out}")
    split_cpu([FLAGS.workdir])
    restored = restore(FLAGS.workdir, FLAGS.checkpoint, classes=FLAGS.classes)
    views = int(FLAGS.views)
    said = {
        "arch": restored.arch.name,
        "step": int(restored.state.step),
        "size": restored.config.data.size,
        "views": views,
        "classes": restored.dataset_info.words
        or [f"class {label}" for label in range(restored.arch.classes)],
    }
    with atomic_file(out) as half:
        half.write_bytes(exported(restored, views))
        write_atomic(out.with_suffix(".json"), json.dumps(said, indent=1) + "\n")
    result = {"file": str(out), "bytes": out.stat().st_size, "platforms": PLATFORMS}
    print(json.dumps({**result, **said, "classes": restored.arch.classes}))


def exported(restored: Restored, views: int) -> bytearray:
    """Return the serialized function of a net and a number of views."""
    (batch,) = export.symbolic_shape("b")
    size = restored.config.data.size
    images = jax.ShapeDtypeStruct((batch, size, size, 3), np.uint8)
    return export.export(jax.jit(answer_of(restored, views)), platforms=PLATFORMS)(
        images
    ).serialize()


def answer_of(restored: Restored, views: int):
    """Return answer(images) -> {logits, probabilities}, for one device, with the weights in it."""
    structure, size = structure_of(restored.arch), restored.arch.image_size
    corners = augment.view_corners(views, size, restored.config.data.size)
    params, stats = jax.tree.map(np.asarray, (restored.state.params, restored.state.batch_stats))
    places = tuple(jnp.asarray(column) for column in zip(*corners, strict=True))

    def answer(images: Array) -> dict[str, Array]:
        module = merge(structure, params, stats)

        def see(place):
            return module(augment.view_at(images, restored.pixel_stats, size, *place))[0]

        logits = lax.map(see, places)  # (views, b, classes)
        probabilities = jnp.mean(jax.nn.softmax(logits), axis=0)
        return {"logits": logits, "probabilities": probabilities}

    return answer


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
