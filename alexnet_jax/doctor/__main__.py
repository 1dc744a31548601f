"""Will a recipe start to learn? The doctor examines its first step, layer by layer.

    python -m alexnet_jax.doctor --config=configs/ilsvrc2012.py --config.data.dir=/path/to/imagenet

    python -m alexnet_jax.doctor --workdir=runs/mine

    python -m alexnet_jax.doctor --devices

The second form examines the recipe of a run, the third the devices of this machine (devices.py).

A net that gives every image the same answer has the loss ln(classes). It stays there until its
weights are large enough to tell images apart. The pull of the labels says how soon that is: by how
much the first step would lower the loss of its batch through the differences between the images.
The doctor prints the sizes of the signal and of the gradients in each layer, and compares the pull
with that of recipes whose start was measured. Where a recipe is not known to start, it examines
other values too, and names those that help. The last line is one JSON object.
"""

import dataclasses
import json
import shlex
from collections.abc import Iterable
from typing import Any

import jax
from absl import flags
from ml_collections import ConfigDict

from alexnet_jax.doctor.devices import MOST, Finding
from alexnet_jax.doctor.devices import examine as examine_devices
from alexnet_jax.doctor.examine import examine, judge, table
from alexnet_jax.doctor.remedy import HOPELESS, remedy
from alexnet_jax.errors import ConfigError, DeviceError
from alexnet_jax.run.folder import read_config
from alexnet_jax.system import command_line, sharding, terminal
from alexnet_jax.system.paths import user_path


def define_flags() -> None:
    """Define the command line."""
    command_line.define_config_flag(required=False)
    flags.DEFINE_bool("devices", False, "Compare this machine's devices with one of them alone.")
    flags.DEFINE_string("workdir", "", "Folder of a run, whose recipe is examined.")


def report(config: ConfigDict) -> None:
    """Print the layers, the verdict, and both as JSON on the last line."""
    layers, classes = examine(config)
    terminal.show(table(layers))
    verdict, reason = judge(layers, classes)
    print(f"{verdict}: {reason}")
    result: dict[str, Any] = {"verdict": verdict, "reason": reason}
    if verdict in HOPELESS:
        values, then = remedy(config) or ({}, "")
        words = [f"--config.{name}={value}".replace(" ", "") for name, value in values.items()]
        print(f"try {shlex.join(words)}: {then}" if words else "no value that was tried helps")
        result["try"] = values
    result["pull"] = sum(layer.pull for layer in layers.values())
    result["layers"] = {name: dataclasses.asdict(layer) for name, layer in layers.items()}
    result = json.loads(json.dumps(result), parse_constant=lambda _: None)  # JSON has no NaN
    print(json.dumps(result))


def report_devices(found: Iterable[Finding]) -> None:
    """Print what was found on the devices, and all of it as JSON on the last line.

    Raises:
      DeviceError: something was not as it should be.
    """
    findings = []
    for one in found:
        print(f"{'right' if one.right else 'WRONG'}: {one.what}: {one.how}", flush=True)
        findings.append(one)
    if not findings:
        print("there is one device, and nothing to compare it with")
    wrong = [one.what for one in findings if not one.right]
    result = {"right": not wrong, "findings": [dataclasses.asdict(one) for one in findings]}
    print(json.dumps(result), flush=True)
    if wrong:
        raise DeviceError(
            f"the devices do not give what they should ({wrong[0]}): do not train on them "
            "together; try NCCL_P2P_DISABLE=1, or switch off the IOMMU's ACS "
            "(nvidia-smi topo -p2p r shows the links), and run this again"
        )


def main(_) -> None:
    """Examine what the flags describe."""
    recipe, workdir = flags.FLAGS["config"].present, flags.FLAGS.workdir
    if bool(recipe) + bool(workdir) + flags.FLAGS.devices != 1:
        raise ConfigError("give one of --config, the --workdir of a run, and --devices")
    if flags.FLAGS.devices:
        sharding.split_cpu(ConfigDict({"cpu_devices": MOST}))
        return report_devices(examine_devices(jax.local_devices()))
    report(read_config(user_path(workdir)) if workdir else flags.FLAGS.config)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
