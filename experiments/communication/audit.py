"""What crosses between the devices in one training step, beside what the paper's design needs.

    python -m experiments.communication.audit --mesh=1x2 [--config.model.cross_columns=False]
    JAX_PLATFORMS=cpu python -m experiments.communication.audit --mesh=1x2 --gpu

Compiles the training step on virtual CPU devices, data x group, or for GPUs that need not be there
(requirements-gpu.txt), and prints each collective: its layer, kind, and the bytes that a device
receives for each image of its part of the batch. The first table is of the program that XLA is
given, the second of what it made of it. The last line is one JSON object, about the first.
"""

import json
import sys

import jax
from absl import flags
from ml_collections import config_flags
from rich.console import Console
from rich.table import Table

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import command_line
from experiments.communication import described_gpu
from experiments.communication.hlo_collectives import Collective, added, collectives
from experiments.communication.step_program import lowered_step, minimum

_MESH = flags.DEFINE_string("mesh", "1x2", "Devices: data x group.")
_SPEC = flags.DEFINE_string(
    "arch", None, "A row of alexnet_jax/net/architectures.py; default: the config's."
)
_GPU = flags.DEFINE_bool("gpu", False, "Compile for described H100s.")
_CONFIG = config_flags.DEFINE_config_file("config", "configs/ilsvrc2012.py", "The recipe.")


def table(title: str, found: list[Collective], needs: dict, images: int, group: int) -> Table:
    """Return the collectives as rows; `images` are those of one device."""
    names = ("layer", "kind", "pass", "between", "result", "bytes an image", "minimum")
    rows = Table(*names, title=title, title_justify="left")
    for one in found:
        between = "columns" if group == 2 and one.stride == 1 else "batch parts"
        way = "backward" if one.backward else "forward"
        least = needs.get(one.layer, (0, 0))[one.backward] if between == "columns" else ""
        dtype, sizes = one.shapes[0]
        more = f" and {len(one.shapes) - 1} more" if len(one.shapes) > 1 else ""
        shape = f"{dtype}{list(sizes)}{more}"
        rows.add_row(
            one.layer,
            one.kind,
            way,
            between,
            shape,
            f"{one.received_bytes / images:,.0f}",
            str(least),
        )
    return rows


def summary(found: list[Collective], needs: dict, images: int) -> dict:
    """Return what the JSON line says of the collectives."""
    forward = [one for one in found if not one.backward]
    backward = [one for one in found if one.backward]
    return {
        "forward_collectives": len(forward),
        "backward_collectives": len(backward),
        "bytes_per_image_forward": sum(one.received_bytes for one in forward) / images,
        "bytes_per_image_backward": sum(one.received_bytes for one in backward) / images,
        "minimum_bytes_per_image": sum(sum(both) for both in needs.values()),
    }


def main(_) -> None:
    """Print the audit that the flags describe."""
    config = _CONFIG.value
    try:
        data, group = (int(size) for size in _MESH.value.split("x"))
    except ValueError:
        raise ConfigError(f"--mesh is two numbers, data x group: 2x1; got {_MESH.value}") from None
    config.mesh.data, config.mesh.group = data, group
    if _SPEC.value:
        config.model.arch = _SPEC.value
    jax.config.update("jax_num_cpu_devices", max(1, data * group))
    arch, lowered = lowered_step(
        config, described_gpu.devices(data * group) if _GPU.value else None
    )
    asked = collectives(lowered.as_text(dialect="hlo", debug_info=True))
    made = collectives(lowered.compile().as_text())
    images = config.batch_size // data
    needs = minimum(arch, group)
    console = Console(file=sys.stdout, width=140)
    console.print(table("asked of XLA", asked, needs, images, group))
    where = "described H100s" if _GPU.value else jax.devices()[0].platform
    console.print(table(f"compiled for {where}", made, needs, images, group))
    extra = added(asked, made)
    console.print(f"added by the compiler: {extra or 'nothing'}")
    result = {"mesh": _MESH.value, "arch": arch.name, **summary(asked, needs, images)}
    print(json.dumps(result))


if __name__ == "__main__":
    command_line.run(main)
