"""What a run tells: metrics.jsonl across a kill, plain lines, TensorBoard."""

import contextlib
import io
import json
import resource
import struct
import sys
import types

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.errors import TrainingError
from alexnet_jax.run.logger import Logger


def line(step: int, split: str = "train", **changes) -> dict:
    return {
        "step": step,
        "epoch": step / 4,
        "split": split,
        "learning_rate": 0.01,
        "loss": 2.0 / step,
        "top1_error": 0.75,
        "top5_error": 0.5,
        "images_per_second": 123.0,
        **changes,
    }


def write(workdir, records: list[dict], more: str = "") -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    (workdir / "metrics.jsonl").write_text(text + more)


def read(workdir) -> list[tuple[int, str]]:
    records = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [(record["step"], record["split"]) for record in records]


def test_each_record_is_one_line_and_the_last_of_a_split_is_found(tmp_path):
    records = [line(1), line(2), line(2, "val"), line(3)]
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 4)
        assert log.last("val") == {}
        for record in records:
            log.metrics(record)
        assert log.last("val") == records[2] and log.last("train") == records[3]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(text) for text in lines] == records


@pytest.mark.parametrize(
    ("step", "validated", "kept"),
    [
        (4, 2, [(2, "train"), (2, "val"), (4, "train")]),
        # Validated at 4 in the log, but the checkpoint of step 4 does not know: to be done again.
        (4, 4, [(2, "train"), (2, "val"), (4, "train"), (4, "val")]),
        (3, 2, [(2, "train"), (2, "val")]),
        (0, -1, []),
    ],
)
def test_lines_after_the_checkpoint_are_forgotten(tmp_path, step, validated, kept):
    write(tmp_path, [line(2), line(2, "val"), line(4), line(4, "val"), line(6)])
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(step, validated, 8)
        assert read(tmp_path) == kept
        log.metrics(line(8))
    assert read(tmp_path) == [*kept, (8, "train")]


@pytest.mark.parametrize("half", ['{"step": 3, "epo', "{", "\0\0\0\0"])
def test_half_a_line_is_dropped(tmp_path, half):
    write(tmp_path, [line(1), line(2)], more=half)
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(9, 9, 10)
        log.metrics(line(10))
    assert read(tmp_path) == [(1, "train"), (2, "train"), (10, "train")]


def test_without_a_terminal_each_record_is_a_plain_line(tmp_path, capsys):
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 4)
        log.advance(1)
        log.metrics(line(1))
        log.metrics(line(2, "val"))
        log.say("[bold]as it is[/bold] " + "x" * 300)
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    for text, said in ((first, "step 1/4 epoch 0.25 train"), (second, "step 2/4 epoch 0.5 val")):
        assert text.startswith(said)
        assert "top-1 error 0.750" in text and "top-5 error 0.500" in text
        assert "123 images/s" in text and "rate 0.01" in text
    assert "loss 2.0000" in first and "loss 1.0000" in second
    assert third == "[bold]as it is[/bold] " + "x" * 300
    assert out == "" and "\x1b" not in err  # no colours, no bar, and stdout is the result's


def test_the_time_left_is_that_of_the_steps_between_the_lines(tmp_path, monkeypatch, capsys):
    """The first line's own step times; then the clock, validations included, from that line on."""
    now = [1000.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("alexnet_jax.run.logger.time", clock)
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 1000)
        now[0] = 1060.0  # a minute of compiling is left out
        log.metrics({**line(100), "step_ms": 90.0, "data_wait_ms": 10.0})  # 900 steps of 0.1 s
        now[0] = 1080.0
        log.metrics({**line(200), "step_ms": 90.0, "data_wait_ms": 10.0})  # 800 of 0.2 s
        log.metrics(line(200, "val"))
        now[0] = 1060.0 + 3600.0
        log.metrics(line(1000))
    first, second, validation, last = capsys.readouterr().err.splitlines()
    assert first.endswith(", 1 min 30 s left") and second.endswith(", 2 min 40 s left")
    assert "left" not in validation and "left" not in last


def test_on_a_terminal_a_bar_moves_and_only_validations_are_lines(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 4)
        log.metrics(line(1))
        log.advance(3)
        log.metrics(line(2, "val"))
    text = sys.stderr.getvalue()
    assert "3/4" in text and "step 2/4 epoch 0.5 val" in text
    assert "step 1/4" not in text


def events(folder) -> list:
    """Read TensorBoard's files: length, its checksum, an Event, its checksum, and so on."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + length]))
            place += 12 + length + 4
    return found


def test_tensorboard_has_the_numbers_and_the_picture(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    with Logger(tmp_path) as log:
        log.begin(0, -1, 4)
        log.metrics(line(1))
        log.metrics({**line(2, "val"), "conv1_colour": [0.5, 0.25]})
        log.image("conv1", picture, 2)
    scalars, pictures = {}, []
    for event in events(tmp_path / "tensorboard"):
        for value in event.summary.value:
            if value.HasField("image"):
                encoded = Image.open(io.BytesIO(value.image.encoded_image_string))
                pictures.append((event.step, np.asarray(encoded)))
            else:
                scalars[value.tag, event.step] = value.simple_value
    colour = {("val/conv1_colour_1", 2): 0.5, ("val/conv1_colour_2", 2): 0.25}
    assert scalars.items() >= colour.items()
    assert scalars.keys() - colour.keys() == {
        (f"{split}/{name}", step)
        for split, step in (("train", 1), ("val", 2))
        for name in ("loss", "top1_error", "top5_error", "learning_rate", "images_per_second")
    }
    assert scalars["train/loss", 1] == 2.0 and scalars["val/loss", 2] == 1.0
    assert scalars["val/learning_rate", 2] == pytest.approx(0.01, rel=1e-6)
    ((step, found),) = pictures
    assert step == 2
    np.testing.assert_array_equal(found, picture)


def test_lines_whose_checkpoints_are_gone_are_set_aside(tmp_path, capsys):
    for number in (1, 2):
        write(tmp_path, [line(1), line(2), line(2, "val")])
        with Logger(tmp_path, tensorboard=False) as log:
            log.begin(0, -1, 4)
        assert read(tmp_path) == []
        aside = tmp_path / f"metrics.{number}.jsonl"
        assert len(aside.read_text().splitlines()) == 3
        assert f"was logged before is now {aside}" in capsys.readouterr().err.replace("\n", "")
    write(tmp_path, [line(1)])  # killed before its first checkpoint
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 4)
    assert not (tmp_path / "metrics.3.jsonl").exists()


def test_tensorboard_is_told_which_steps_a_resumed_run_does_again(tmp_path):
    from tensorboardX.proto.event_pb2 import SessionLog

    with Logger(tmp_path) as log:
        log.begin(6, 4, 8)
    (started,) = [e for e in events(tmp_path / "tensorboard") if e.HasField("session_log")]
    assert started.step == 7 and started.session_log.status == SessionLog.START


def test_without_tensorboard_nothing_of_it_is_written(tmp_path):
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 4)
        log.metrics(line(1))
        log.image("conv1", np.zeros((4, 4, 3), np.uint8), 1)
    assert not (tmp_path / "tensorboard").exists()


@contextlib.contextmanager
def files_of_at_most(size: int):
    """Let no file of this process grow beyond so many bytes: a disk that is full for some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_error_and_the_lines_before_it_are_whole(tmp_path):
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 9)
        log.metrics(line(1))
        size = log.path.stat().st_size
        refused = pytest.raises(TrainingError, match="metrics.jsonl could not be written")
        with files_of_at_most(size + 20), refused as caught:
            log.metrics(line(2))
    assert "\n" not in str(caught.value) and "last checkpoint" in str(caught.value)
    with Logger(tmp_path, tensorboard=False) as log:  # what was half a line is gone
        log.begin(1, -1, 9)
        log.metrics(line(2))
    assert read(tmp_path) == [(1, "train"), (2, "train")]


def test_a_full_disk_stops_a_run_that_tensorboard_follows(tmp_path):
    with Logger(tmp_path) as log:
        log.begin(0, -1, 500)
        refused = pytest.raises(TrainingError, match="tensorboard could not be written")
        with files_of_at_most(9_000), refused:
            told(log, 500)
        assert read(tmp_path)[-1] > (10, "")  # many were written before


def told(log: Logger, steps: int) -> None:
    """Let only TensorBoard's file grow: the other keeps two lines."""
    for step in range(1, steps):
        write(log.path.parent, [line(step)])
        log.metrics(line(step))


def test_a_picture_that_does_not_fit_leaves_the_one_before(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    with Logger(tmp_path, tensorboard=False) as log:
        log.begin(0, -1, 9)
        log.image("conv1", noise[0], 1)
        with files_of_at_most(4_000), pytest.raises(TrainingError, match="conv1.png could not"):
            log.image("conv1", noise[1], 2)
    np.testing.assert_array_equal(Image.open(tmp_path / "conv1.png"), noise[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conv1.png", "metrics.jsonl"]
