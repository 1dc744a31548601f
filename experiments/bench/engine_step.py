"""Inference by ONNX Runtime or OpenVINO for the benchmark of inference, in a process of its own.

    python -m experiments.bench.engine_step --engine=openvino --net=FOLDER

The folder has what inference.py writes: weights, finished float images and our probabilities. The
net is that of support/torch_net.py, exported by PyTorch, in float32, on as many threads as there
are cores. Serves "infer" (turns.py); the first line says how far its probabilities are from ours.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import torch
from absl import app, flags

from alexnet_jax.system.paths import user_path
from experiments.bench import turns
from experiments.parity.torch_references import torch_state
from experiments.support.torch_net import SHAPES, TorchAlexNet


def exported(arch: str, state: dict[str, torch.Tensor], images: np.ndarray) -> bytes:
    """Return the ONNX file of the net and a softmax, for this number of images."""
    net = TorchAlexNet(SHAPES[arch])
    net.load_state_dict(state)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "net.onnx"
        model = torch.nn.Sequential(net, torch.nn.Softmax(-1)).eval()
        torch.onnx.export(model, (torch.tensor(images),), str(path), dynamo=False)
        return path.read_bytes()


def onnxruntime(model: bytes, threads: int) -> tuple[str, Callable]:
    """Return the engine's version and its function."""
    import onnxruntime as ort  # each engine is needed only where it is asked for

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (name,) = [x.name for x in session.get_inputs()]
    return ort.__version__, lambda images: session.run(None, {name: images})[0]


def openvino(model: bytes, threads: int) -> tuple[str, Callable]:
    """Return the engine's version and its function."""
    import openvino as ov

    core = ov.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(
        core.read_model(model), "CPU", {**hints, "INFERENCE_NUM_THREADS": threads}
    )
    return ov.__version__.partition("-")[0], lambda images: compiled(images)[0]


ENGINES = {"onnxruntime": onnxruntime, "openvino": openvino}


def main(_) -> None:
    """Serve what the flags describe."""
    folder = user_path(flags.FLAGS.net)
    with np.load(folder / "net.npz") as file:
        arrays = dict(file)
    images, ours, arch = (arrays.pop(name) for name in ("images", "ours", "arch"))
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    params: dict[str, dict[str, np.ndarray]] = {}
    for name, value in arrays.items():
        layer, _, which = name.partition(".")
        params.setdefault(layer, {})[which] = value
    model = exported(str(arch), torch_state(params), images)
    version, run = ENGINES[flags.FLAGS.engine](model, len(os.sched_getaffinity(0)))
    hello = {"version": version, "difference": float(np.abs(run(images) - ours).max())}
    turns.serve(
        hello, {"infer": turns.timed(lambda: run(images), lambda _: None, flags.FLAGS.calls)}
    )


if __name__ == "__main__":
    flags.DEFINE_enum("engine", None, list(ENGINES), "Which.", required=True)
    flags.DEFINE_integer("calls", 1, "Calls of a timing.")
    flags.DEFINE_string("net", None, "Folder of the net.", required=True)
    app.run(main)  # not command_line.run, which would load JAX beside the engine
