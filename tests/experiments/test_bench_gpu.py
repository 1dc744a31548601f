"""The benchmark of a GPU, without one: its record, what it reads from a program, its parts."""

import json
import time
import types

import numpy as np
import pytest

from alexnet_jax.errors import ConfigError, DeviceError
from alexnet_jax.net import resolving
from experiments.bench import time_to_train
from experiments.bench.gpu import __main__ as gpu
from experiments.bench.gpu import layers, parity, predicted
from experiments.bench.gpu.hlo_traffic import Operation, operations
from experiments.bench.gpu.loader import write_pictures


def test_the_record_is_whole_after_each_part_whatever_the_part_does(tmp_path, monkeypatch):
    path, record = tmp_path / "gpu.json", {"smoke": True, "parts": {}}
    seen = []
    write = gpu.write_atomic

    def written(where, text):
        write(where, text)
        seen.append(list(json.loads(path.read_text())["parts"]))

    monkeypatch.setattr(gpu, "write_atomic", written)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    codes = {
        "works": "print('words'); print('{\"rate\": 3}')",
        "fails": "raise ValueError('no such thing')",
        "mute": "print('no JSON')",
        "hangs": "import time; time.sleep(60)",
        "dear": "",
    }
    for name, code in codes.items():
        (tmp_path / f"part_{name}.py").write_text(code)
    todo = [gpu.Part(name, (f"part_{name}",), 1.0) for name in list(codes)[:4]]
    todo.append(gpu.Part("dear", ("part_dear",), 50.0, needed=False))
    gpu.run_all(todo[:2], record, path, time.monotonic() + 60)
    gpu.run_all(todo, record, path, time.monotonic() + 3)
    parts = json.loads(path.read_text())["parts"]
    assert seen[:2] == [["works"], ["works", "fails"]] and len(seen[-1]) == 5
    assert parts["works"]["result"] == {"rate": 3}
    assert "no such thing" in parts["fails"]["messages"][-1]
    assert "'no JSON\\n'" in parts["mute"]["error"]
    assert parts["hangs"]["error"].startswith("stopped after ")
    assert "no time" in parts["dear"]["left_out"]


def test_a_part_that_takes_too_long_leaves_time_for_those_that_are_needed(tmp_path, monkeypatch):
    allowed = {}

    def run(part, seconds):
        allowed[part.name] = seconds
        return {"result": {}}

    monkeypatch.setattr(gpu, "run", run)
    todo = [gpu.Part("slow", (), 100.0), gpu.Part("extra", (), 50.0, needed=False)]
    todo += [gpu.Part("a", (), 60.0), gpu.Part("b", (), 60.0)]
    gpu.run_all(todo, {"parts": {}}, tmp_path / "gpu.json", time.monotonic() + 240)
    left = {"slow": 120, "extra": 120, "a": 180, "b": 240}
    assert allowed == {name: pytest.approx(seconds, abs=5) for name, seconds in left.items()}


def test_without_a_gpu_or_with_the_record_of_another_it_does_not_begin(tmp_path, monkeypatch):
    path = tmp_path / "gpu.json"
    values = types.SimpleNamespace(out=str(path), smoke=False, minutes=12)
    monkeypatch.setattr(gpu, "flags", types.SimpleNamespace(FLAGS=values))
    monkeypatch.setattr(gpu, "run_all", lambda *_: None)
    monkeypatch.setattr(gpu, "found_by_jax", lambda: ["cpu:cpu"])
    with pytest.raises(DeviceError, match="no GPU here .devices: cpu:cpu."):
        gpu.main([])
    monkeypatch.setattr(gpu, "found_by_jax", lambda: ["gpu:NVIDIA H100"])
    assert gpu.main([]) == 0
    for before in ({"smoke": True}, {"smoke": False, "devices": ["gpu:NVIDIA T4"]}):
        path.write_text(json.dumps({**before, "parts": {}}))
        with pytest.raises(ConfigError, match="another file"):
            gpu.main([])


def test_a_comparison_beyond_its_limits_is_named():
    assert gpu.done({"batch": 4, "tf32": {"within": True}}) == "done"
    assert gpu.done({"tf32": {"within": False}}) == "done, beyond the limits: tf32"


def test_every_part_has_a_program_that_exists():
    for smoke in (False, True):
        todo = gpu.parts(smoke)
        assert len({one.name for one in todo}) == len(todo)
        assert sum(one.seconds for one in todo if one.needed) < 12 * 60
    names = [one.name for one in gpu.parts(False)]
    assert [name for name in names if name.startswith("step")] == [
        f"step_{batch}_{dtype}"
        for batch in (128, 1024, 256, 2048)
        for dtype in ("float32", "bfloat16")
    ]


def test_ninety_epochs():
    steps = {"train": {"images_per_second": 10_000}, "inference": {"images_per_second": 25_000}}
    entries = {"step_128_float32": {"result": steps}, "step_256_float32": {"error": "no memory"}}
    # 90 x (1,281,167 / 10,000 + 50,000 / 25,000) seconds.
    hours = 90 * (128.1167 + 2) / 3600
    found = gpu.ninety_epochs(entries)
    assert found["step_128_float32"] == {"hours": pytest.approx(hours)}
    entries["loader"] = {"result": {"images_per_second": {"loader": 5_000, "transfer": 90_000}}}
    found = gpu.ninety_epochs(entries)["step_128_float32"]
    assert found["hours_with_loader"] == pytest.approx(90 * (256.2334 + 10) / 3600)
    assert gpu.ninety_epochs({}) is None


def test_ninety_epochs_of_the_record_of_this_machine(monkeypatch, capsys):
    values = types.SimpleNamespace(step=str(time_to_train.RECORD), loader=100.0)
    monkeypatch.setattr(time_to_train, "flags", types.SimpleNamespace(FLAGS=values))
    time_to_train.main([])
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    train = printed["train_images_per_second"]
    assert printed["hours"] == pytest.approx(90 * (1_281_167 / train + 500) / 3600, abs=0.01)


PROGRAM = """\
HloModule jit_train_step

%fused_slice (param_0: f32[8,4], param_1: f32[4]) -> f32[2,4] {
  %param_0 = f32[8,4]{1,0} parameter(0)
  %slice.1 = f32[2,4]{1,0} slice(%param_0), slice={[0:2], [0:4]}, \
metadata={op_name="jit(step)/jvp()/conv1/pool1/slice"}
  %param_1 = f32[4]{0} parameter(1)
  %b.1 = f32[2,4]{1,0} broadcast(%param_1), dimensions={1}
  ROOT %m.1 = f32[2,4]{1,0} maximum(%slice.1, %b.1), \
metadata={op_name="jit(step)/jvp()/conv1/relu1/max"}
}

%fused_dot (param_0: bf16[8,4]) -> bf16[8,8] {
  %param_0 = bf16[8,4]{1,0} parameter(0)
  ROOT %dot.1 = bf16[8,8]{1,0} dot(%param_0, %param_0), \
metadata={op_name="jit(step)/transpose(jvp())/fc6/dot"}
}

ENTRY %main (p: f32[8,4], q: f32[4], r: bf16[8,4]) -> (f32[2,4], bf16[8,8]) {
  %p = f32[8,4]{1,0} parameter(0)
  %q = f32[4]{0} parameter(1)
  %r = bf16[8,4]{1,0} parameter(2)
  %small = f32[2,4]{1,0} fusion(%p, %q), kind=kLoop, calls=%fused_slice, \
metadata={op_name="jit(step)/jvp()/conv1/relu1/max"}
  %large = bf16[8,8]{1,0} fusion(%r), kind=kCustom, calls=%fused_dot, \
metadata={op_name="jit(step)/transpose(jvp())/fc6/dot"}
  %conv = (f32[8,4]{1,0}, u8[0]{0}) custom-call(%p, %q), custom_call_target="__cudnn$convForward", \
metadata={op_name="jit(step)/jvp()/conv2/cond/branch_0_fun/conv_general_dilated"}
  %new = f32[4]{0} add(%q, %q), metadata={op_name="jit(step)/add"}
  %drawn = f32[4]{0} add(%q, %q), metadata={op_name="jit(step)/jvp()/vmap()/add"}
  ROOT %t = (f32[2,4]{1,0}, bf16[8,8]{1,0}) tuple(%small, %large)
}
"""


def test_bytes_and_parts_of_a_program():
    assert operations(PROGRAM) == [
        # Of p only the slice is read: 2 x 4 numbers, and q's 4.
        Operation("small", "pool1+relu1", False, False, 32 + 16, 32),
        Operation("large", "fc6", True, True, 8 * 4 * 2, 8 * 8 * 2),
        Operation("conv", "conv2", False, True, 128 + 16, 128),
        Operation("new", "update", False, False, 16, 16),
        Operation("drawn", "augment", False, False, 16, 16),
    ]
    assert [predicted.group(row) for row in operations(PROGRAM)] == [
        *("after conv1", "fc6", "conv2", "update", "augment")
    ]


def test_floors_of_the_paper():
    least = predicted.floors(resolving.resolve(resolving.overrides("paper")), 2, "float32")
    conv1, pooled = 55 * 55 * 96, 27 * 27 * 96
    assert least["conv1", False] == 4 * (2 * (224**2 * 3 + conv1) + 121 * 3 * 96)
    assert least["conv1", True] == least["conv1", False]  # no gradient of the image
    assert least["conv2", True] == 2 * least["conv2", False]
    assert least["after conv1", False] == 4 * 2 * (conv1 + pooled)
    assert least["after conv1", True] == 4 * 2 * (2 * conv1 + pooled)
    assert least["update", False] == 60_965_224 * 4 * 5


def test_the_time_of_a_part_is_that_of_its_bytes_or_of_its_operations():
    total = {("conv1", False): int(3.35e9), ("update", False): int(6.7e9)}
    work = {("conv1", False): 494.7e9 * 3}
    assert predicted.milliseconds(total, work, "H100", "float32") == pytest.approx(3 + 2)


def test_an_error_beyond_the_limit_and_one_that_is_not_a_number():
    wanted = ({"a": np.array([3.0, 4.0])}, [2.0, 1.0])
    good = parity.compared(({"a": np.array([3.0, 4.5])}, [2.0, 1.0]), wanted, (0.1, 0.1, 0.1))
    assert good["largest"] == pytest.approx(0.1) and good["within"]
    bad = parity.compared(({"a": np.array([3.0, 5.0])}, [2.0, 1.0]), wanted, (0.1, 0.1, 0.1))
    assert bad["largest"] == pytest.approx(0.2) and not bad["within"]
    nan = parity.compared(({"a": np.full(2, np.nan)}, [2.0, np.nan]), wanted, (1.0, 1.0, 1.0))
    assert not nan["within"]


def test_pictures_for_the_loader(tmp_path):
    write_pictures(tmp_path, 20)
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.jpg")]
    assert len(sizes) == 20 and min(sizes) > 60_000
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val"}


@pytest.mark.slow
def test_parity_and_profile_on_the_cpu():
    found = parity.measure("small", 4, 2, width=0.1)
    for name in ("float32_highest", "tf32"):  # on the CPU both are the reference itself
        assert found[name]["largest"] == 0 and found[name]["losses"] == found["cpu_losses"]
    assert 0 < found["bfloat16"]["largest"] < 1
    profile = layers.measure("small", 4, "float32", 2, width=0.1)
    assert profile["parts"]["conv1"]["operations"] > 0
    assert profile["parts"]["augment"]["ms"] > 0 and profile["largest"][0]["ms"] > 0
