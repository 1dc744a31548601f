"""The five best classes of pictures from the command line, with good files and bad ones."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.data.input.files import image_files, squares
from alexnet_jax.errors import DataError
from tests.support import commands, weight_files, zoo

SIZE, MARGIN = 67, (256 - 67) // 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 30 squares, which prediction takes as they are, and 20 bad files among them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for k in range(30):
        blocks = rng.integers(0, 256, (4, 4, 3), np.uint8)
        place = folder / ("deeper" if k % 2 else ".") / f"picture {k:02} ä.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(blocks).resize((256, 256)).save(place)
    for name, (data, _) in list(zoo.bad().items())[:20]:
        (folder / f"bad {name}").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, its net, tensors and mean."""
    folder = tmp_path_factory.mktemp("run")
    return folder / "net", *weight_files.drawn_run(folder, folder / "net")


def predicted(*flags):
    done = commands.run("predict", *flags)
    return done.code, done.out, done.err


def test_a_folder_with_bad_files_is_answered_all_the_same(pictures, run, tmp_path):
    workdir, net, tensors, mean = run
    code, out, err = predicted(f"--workdir={workdir}", "--json", str(pictures), "--top=2")
    *lines, last = map(json.loads, out.splitlines())
    assert code == 1 and (last["images"], last["bad"]) == (30, 20)
    assert last["images_per_second"] > 0
    named = err.splitlines()
    assert len(named) == 20 and all(line.startswith("error: ") for line in named)
    assert {line.split(f"{pictures}/")[1].split(": ")[0] for line in named} == {
        path.name for path in pictures.glob("bad *")
    }
    files = sorted(pictures.rglob("picture*.png"), key=lambda path: str(path.relative_to(pictures)))
    assert sorted(line["file"] for line in lines) == sorted(map(str, files))
    by_file = {line["file"]: line["top"] for line in lines}
    pixels = np.stack([np.asarray(Image.open(path)) for path in files]).astype(np.float32) - mean
    views = pixels[:, MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    logits = weight_files.reference(net, tensors, views).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = np.array(["ant", "bee", "cow"])
    for path, row in zip(files, expected, strict=True):
        top = by_file[str(path)]
        order = np.argsort(-row)[:2]
        assert [best["class"] for best in top] == names[order].tolist()
        np.testing.assert_allclose([best["probability"] for best in top], row[order], rtol=1e-3)


def test_one_picture_for_a_reader(pictures, run, tmp_path):
    path = pictures / "picture 00 ä.png"
    code, out, err = predicted(f"--workdir={run[0]}", "--views=10", str(path))
    name, *top, last = out.splitlines()
    assert code == 0 and not err and name == str(path)
    assert json.loads(last)["images"] == 1
    assert sorted(line.split()[1] for line in top) == ["ant", "bee", "cow"]
    shares = [float(line.split()[0]) for line in top]
    assert shares == sorted(shares, reverse=True) and abs(sum(shares) - 1) < 0.01


def test_without_a_picture_is_one_line(run, tmp_path):
    code, out, err = predicted(f"--workdir={run[0]}")
    assert code == 2 and not out and err.startswith("error: expected one or more images")
    assert err.count("\n") == 1


def test_a_picture_that_is_not_there_is_named_and_the_others_go_on(pictures, run, tmp_path):
    path = pictures / "picture 00 ä.png"
    code, out, err = predicted(f"--workdir={run[0]}", "nowhere.jpg", str(path))
    assert code == 1 and err == "error: nowhere.jpg: cannot be opened (No such file or directory)\n"
    assert out.splitlines()[0] == str(path)
    last = json.loads(out.splitlines()[-1])
    assert (last["images"], last["bad"]) == (1, 1)


def test_folders_are_gone_through_and_names_kept_in_order(pictures, tmp_path):
    found = image_files([str(pictures / "deeper"), str(pictures / "picture 00 ä.png")])
    assert len(found) == 16 and found[-1].name == "picture 00 ä.png"
    assert found[:-1] == sorted(found[:-1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        image_files([str(tmp_path / "empty")])


def test_squares_come_in_order_and_little_ahead(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (256, 256), (7, 8, 9)).save(picture, "PNG")
    paths = [tmp_path / f"{k}.png" for k in range(100)]
    for k, path in enumerate(paths):
        path.write_bytes(b"" if k == 3 else picture.getvalue())
    stream = squares(paths, workers=2)
    first = [next(stream) for _ in range(5)]
    assert [path for path, _ in first] == paths[:5] and "empty" in str(first[3][1])
    for path in paths[60:]:
        path.unlink()  # not yet read: what is read ahead is bounded
    rest = list(stream)
    assert [path for path, _ in rest] == paths[5:]
    assert [isinstance(found, np.ndarray) for _, found in rest] == [True] * 55 + [False] * 40
