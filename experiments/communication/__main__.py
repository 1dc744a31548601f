"""What crosses between the devices in one training step, beside what the paper's design needs.

    python -m experiments.communication --mesh=1x2 [--config.model.cross_columns=False]
    JAX_PLATFORMS=cpu python -m experiments.communication --mesh=1x2 --gpu

It compiles the training step for virtual CPU devices, data x group, or for GPUs that the machine
need not have (requirements-gpu.txt). It prints each collective: its layer, its kind, and the bytes
that a device receives for each image of its part of the batch. The first table lists the program
given to XLA, the second the compiled program. The last line is one JSON object, about the first.
"""

import json

import jax
from absl import flags
from rich.table import Table

from alexnet_jax.errors import ConfigError
from alexnet_jax.net.variants import ARCHITECTURES
from alexnet_jax.system import command_line
from alexnet_jax.system.terminal import show
from experiments.communication import described_gpu
from experiments.communication.hlo_collectives import Collective, added, collectives
from experiments.communication.step_program import lowered_step, minimum


def table(title: str, rows: list[Collective], needs: dict, images: int, group: int) -> Table:
    """Return the collectives as a table; `images` are those of one device."""
    names = ("layer", "kind", "pass", "between", "result", "bytes an image", "minimum")
    shown = Table(*names, title=title, title_justify="left")
    for one in rows:
        between = "columns" if group == 2 and one.stride == 1 else "batch parts"
        least = needs.get(one.layer, (0, 0))[one.backward] if between == "columns" else ""
        dtype, sizes = one.shapes[0]
        more = f" and {len(one.shapes) - 1} more" if len(one.shapes) > 1 else ""
        shown.add_row(
            one.layer,
            one.kind,
            "backward" if one.backward else "forward",
            between,
            f"{dtype}{list(sizes)}{more}",
            f"{one.received_bytes / images:,.0f}",
            str(least),
        )
    return shown


def summary(rows: list[Collective], needs: dict, images: int) -> dict:
    """Return the numbers of the JSON line."""
    forward = [one for one in rows if not one.backward]
    backward = [one for one in rows if one.backward]
    return {
        "forward_collectives": len(forward),
        "backward_collectives": len(backward),
        "bytes_per_image_forward": sum(one.received_bytes for one in forward) / images,
        "bytes_per_image_backward": sum(one.received_bytes for one in backward) / images,
        "minimum_bytes_per_image": sum(sum(both) for both in needs.values()),
    }


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag("ilsvrc2012")
    flags.DEFINE_string("mesh", "1x2", "Devices: data x group.")
    flags.DEFINE_enum("arch", None, list(ARCHITECTURES), "Default: the config's.")
    flags.DEFINE_bool("gpu", False, "Compile for described H100s.")


def main(_) -> None:
    """Print the audit that the flags describe."""
    config, sizes = flags.FLAGS.config, flags.FLAGS.mesh
    try:
        data, group = map(int, sizes.split("x"))
    except ValueError:
        raise ConfigError(f"--mesh is two numbers, data x group: 2x1; got {sizes}") from None
    config.mesh.data, config.mesh.group = data, group
    if flags.FLAGS.arch:
        config.model.arch = flags.FLAGS.arch
    jax.config.update("jax_num_cpu_devices", max(1, data * group))
    gpus = described_gpu.devices(data * group) if flags.FLAGS.gpu else None
    arch, lowered = lowered_step(config, gpus)
    asked = collectives(lowered.as_text(dialect="hlo", debug_info=True))
    made = collectives(lowered.compile().as_text() or "")
    images = config.batch_size // data
    needs = minimum(arch, group)
    show(table("asked of XLA", asked, needs, images, group))
    where = "described H100s" if gpus else jax.devices()[0].platform
    show(table(f"compiled for {where}", made, needs, images, group))
    print(f"added by the compiler: {added(asked, made) or 'nothing'}")
    print(json.dumps({"mesh": sizes, "arch": arch.name, **summary(asked, needs, images)}))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
