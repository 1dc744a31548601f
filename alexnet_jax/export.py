"""Export a trained net as one function in one file, for use without this package.

    python -m alexnet_jax.export --workdir=runs/ilsvrc2012 --out=alexnet.jaxexport --views=10

`jax.export.deserialize` reads the file. Its function takes images (b, size, size, 3) uint8 RGB,
for any b, and returns a dictionary of logits (views, b, classes) and probabilities (b, classes)
float32, averaged over the views. The weights and the mean are in it. It runs on CPU, CUDA and TPU.
alexnet.json beside it holds classes (their names, in order), size (the run's data.size), views,
arch, step, and which JAX wrote the file and which can read it. The last line is one JSON object.

    python -m alexnet_jax.export --workdir=runs/ilsvrc2012 --out=alexnet.onnx --batch=1

For ONNX Runtime and others, by jax2onnx: `pip install --no-deps -r requirements-onnx.txt`. The
number of images is fixed; "images", "logits" and "probabilities" are as above.
"""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import Array, export, lax

from alexnet_jax.data.input import ten_crops
from alexnet_jax.errors import ConfigError
from alexnet_jax.net.parameters import merge, structure_of
from alexnet_jax.run import run_flags
from alexnet_jax.run.restore import Restored, restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import atomic_file, check_writable, write_atomic
from alexnet_jax.system.paths import user_path

FLAGS = flags.FLAGS
# https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees
READABLE = (
    f"by JAX {jax.__version__} and those of the six months after it; later ones may refuse it, and "
    "then export again"
)
PLATFORMS = ("cpu", "cuda", "tpu")


def define_flags() -> None:
    """Define what this command takes."""
    run_flags.define(classes=True, views=True)
    text = "The file, ending in .jaxexport or .onnx."
    flags.DEFINE_string("out", None, text, required=True)
    flags.DEFINE_integer("batch", 1, "Images of a call of an .onnx file.", lower_bound=1)


def main(_) -> None:
    """Write the files that the flags name."""
    out = user_path(FLAGS.out)
    if out.suffix not in (".jaxexport", ".onnx"):
        raise ConfigError(f"--out ends in .jaxexport or .onnx; got {out}")
    onnx = out.suffix == ".onnx"
    if FLAGS["batch"].present and not onnx:
        raise ConfigError("--batch is of an .onnx file: a .jaxexport takes any number of images")
    if onnx:
        logging.disable(logging.WARNING)  # it lists the packages that it could also convert
        _jax2onnx()
    check_writable(out, ConfigError)
    split_cpu([FLAGS.workdir])
    restored = restore(FLAGS.workdir, FLAGS.checkpoint, classes=FLAGS.classes)
    views = int(FLAGS.views)
    description = {
        "arch": restored.arch.name,
        "step": int(restored.state.step),
        "size": restored.config.data.size,
        "views": views,
        "classes": restored.words,
        **({"batch": FLAGS.batch} if onnx else {"jax": jax.__version__, "readable": READABLE}),
    }
    data = onnx_of(restored, views, FLAGS.batch) if onnx else exported(restored, views)
    with atomic_file(out) as half:
        half.write_bytes(data)
        write_atomic(out.with_suffix(".json"), json.dumps(description, indent=1) + "\n")
    result = {"file": str(out), "bytes": out.stat().st_size}
    result |= {} if onnx else {"platforms": PLATFORMS}
    print(json.dumps({**result, **description, "classes": restored.arch.classes}))


def exported(restored: Restored, views: int) -> bytearray:
    """Return the serialized function of a net and a number of views."""
    (batch,) = export.symbolic_shape("b")
    size = restored.config.data.size
    images = jax.ShapeDtypeStruct((batch, size, size, 3), np.uint8)
    make = export.export(jax.jit(answer_of(restored, views)), platforms=PLATFORMS)
    return make(images).serialize()


def onnx_of(restored: Restored, views: int, batch: int) -> bytes:
    """Return the ONNX file of a net, a number of views and a number of images.

    Raises:
      ConfigError: jax2onnx is not installed.
    """
    size = restored.config.data.size
    model = _jax2onnx()(
        answer_of(restored, views),
        [jax.ShapeDtypeStruct((batch, size, size, 3), np.uint8)],
        model_name=restored.arch.name,
        input_names=["images"],
        output_names=["logits", "probabilities"],
    )
    return model.SerializeToString()


def _jax2onnx():
    try:
        from jax2onnx import to_onnx  # optional
    except ImportError as error:
        raise ConfigError(
            f"an .onnx file is made by jax2onnx, and {error.name} is not installed: pip install "
            "--no-deps -r requirements-onnx.txt"
        ) from error
    return to_onnx


def answer_of(restored: Restored, views: int):
    """Return answer(images) -> {logits, probabilities}, for one device, with the weights in it."""
    structure, size = structure_of(restored.arch), restored.arch.image_size
    corners = ten_crops.corner_arrays(views, size, restored.config.data.size)
    params, stats = jax.tree.map(np.asarray, (restored.state.params, restored.state.batch_stats))

    def answer(images: Array) -> dict[str, Array]:
        module = merge(structure, params, stats)

        def see(corner):
            return module(ten_crops.view_at(images, restored.pixel_stats, size, *corner))[0]

        logits = lax.map(see, corners)  # (views, b, classes)
        probabilities = jnp.mean(jax.nn.softmax(logits), axis=0)
        return {"logits": logits, "probabilities": probabilities}

    return answer


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
