"""The analysis of a tiny run, beside the same net called plainly and NumPy in float64."""

import base64
import collections
import copy
import dataclasses
import io
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from alexnet_jax.analysis import classes, colour, command, figures, filters
from alexnet_jax.analysis.features import extraction
from alexnet_jax.analysis.features.export import export_features, with_names
from alexnet_jax.analysis.features.extraction import extractor, split_batches
from alexnet_jax.analysis.figure4 import similar
from alexnet_jax.analysis.figure4.figure import choose, make_figure
from alexnet_jax.analysis.short_names import short_names
from alexnet_jax.data.input.files import batches, image_files, squares
from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.errors import CheckpointError, ConfigError, DataError
from alexnet_jax.net import resolving
from alexnet_jax.net.conv1_filters import colour_shares, filter_grid
from alexnet_jax.net.listing import rows
from alexnet_jax.run import config, dataset_info
from alexnet_jax.run import folder as run_folder
from alexnet_jax.run.checkpoint import Checkpoints
from alexnet_jax.run.restore import restore
from alexnet_jax.step import create
from alexnet_jax.system import sharding
from tests.support import commands, tiny
from tests.support.narrow_nets import draw_params
from tests.support.narrow_nets import run as run_net

COPIED = "ant/copied.jpg"  # in train, where 0.jpg is the same picture, and in validation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with two checkpoints, as if trained, on images of which one is there three times."""
    folder = tiny.write_images(tmp_path_factory.mktemp("runs"))
    for split in ("train", "val"):
        shutil.copy(folder / "images/train/ant/0.jpg", folder / "images" / split / COPIED)
    made = tiny.config(folder, mesh__cpu_devices=1, mesh__data=1, mesh__group=1)
    dataset = prepare(made.data)
    net = resolving.resolve(made.model, 3)
    params = draw_params(net)
    params["fc8"]["kernel"] *= 0.02  # so that no probability is 0 or 1
    state = create.create_state(made, net, sharding.make_mesh(made.mesh, 2, 8))
    run_folder.write_run(folder / "run", made)
    dataset_info.write(folder / "run", dataset_info.of_dataset(dataset))
    with Checkpoints(folder / "run", config.fingerprint(made)) as checkpoints:
        for step, error in ((4, 0.5), (6, 0.25)):
            params["conv1"]["kernel"] *= np.array([1.25, 1, 1], np.float32)[:, None]  # redder
            placed = sharding.put_like(state.params, params)
            number = sharding.put_like(state.step, np.int32(step))
            checkpoints.save(
                dataclasses.replace(state, step=number, params=placed), {"top1_error": error}
            )
            checkpoints.wait()
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return restore(folder / "run")


@pytest.fixture(scope="module")
def dataset(run):
    return run.images(train=True)


@pytest.fixture(scope="module")
def plain(run, dataset):
    """split -> (file names, labels, features (n, d) and probabilities (n, 3) in float64)."""
    params = jax.device_get(run.state.params)
    sizes = {split: dataset.num_examples(split) for split in ("train", "validation")}
    images = [dataset.read(split, range(n)) for split, n in sizes.items()]
    start = (256 - run.arch.image_size) // 2
    middle = slice(start, start + run.arch.image_size)
    views = np.concatenate([pixels for pixels, _ in images]).astype(np.float32)
    views = (views - dataset.statistics.mean_image)[:, middle, middle]
    logits, kept = run_net(run.arch, params, views)
    values = np.exp(logits.astype(np.float64))
    values /= values.sum(1, keepdims=True)
    hidden = np.concatenate(list(kept["relu7"]), axis=-1).astype(np.float64)
    found, first = {}, 0
    for (split, n), (_, labels) in zip(sizes.items(), images, strict=True):
        names = dataset.file_names(split, range(n))
        found[split] = (names, labels, hidden[first : first + n], values[first : first + n])
        first += n
    return found


def of_folder(run, name: str) -> dict:
    return json.loads((run.workdir / "analysis" / name).read_text())


def test_classes_are_counted_one_by_one(run, dataset, plain):
    content = classes.classes(run, dataset)
    _, labels, _, probabilities = plain["validation"]
    answers = probabilities.argmax(1)
    for label, line in enumerate(content["classes"]):
        own = labels == label
        assert (line["class"], line["images"]) == (dataset.class_names[label], own.sum())
        assert line["top1_error"] == (answers[own] != label).mean() and line["top5_error"] == 0
    pairs = collections.Counter(zip(labels, answers, strict=True))
    names = dataset.class_names
    expected = {(names[a], names[b]): n for (a, b), n in pairs.items() if a != b}
    found = [(line["class"], line["taken_for"]) for line in content["confusions"]]
    counts = [line["images"] for line in content["confusions"]]
    assert dict(zip(found, counts, strict=True)) == expected and expected
    assert counts == sorted(counts, reverse=True)


@pytest.fixture(scope="module")
def figure(run, dataset, plain):
    number = plain["validation"][0].index(COPIED)
    return make_figure(run, dataset, seed=3, queries=[number, 9, 12]), number


def test_five_best_classes(run, dataset, plain, figure):
    names, labels, _, probabilities = plain["validation"]
    content = of_folder(run, "predictions.json")
    assert content["step"] == int(run.state.step) and len(content["images"]) == 8
    assert len({image["file"] for image in content["images"]}) == 8
    for image in content["images"]:
        number = names.index(image["file"])
        assert image["label"] == dataset.class_names[labels[number]]
        order = np.argsort(-probabilities[number])
        assert [line["class"] for line in image["top"]] == [dataset.class_names[k] for k in order]
        found = [line["probability"] for line in image["top"]]
        np.testing.assert_allclose(found, probabilities[number, order], rtol=1e-4)


def test_six_nearest_training_images_without_copies(run, dataset, plain, figure):
    result, copied = figure
    names, _, queries, _ = plain["validation"]
    files, labels, hidden, _ = plain["train"]
    content = of_folder(run, "neighbours.json")
    assert content["layer"] == "fc7" and content["searched"] == len(files) == result["searched"]
    assert [image["file"] for image in content["images"]] == [names[k] for k in (copied, 9, 12)]
    for image in content["images"]:
        query = queries[names.index(image["file"])]
        distances = np.linalg.norm(hidden - query, axis=1)
        places = np.argsort(distances, kind="stable")
        gone = {COPIED, "ant/0.jpg"} if image["file"] == COPIED else {COPIED}
        places = [k for k in places if files[k] not in gone][:6]
        if image["file"] != COPIED:  # of the two that are the same picture the first may be there
            assert [near["file"] for near in image["neighbours"]].count(COPIED) == 0
        assert [near["file"] for near in image["neighbours"]] == [files[k] for k in places]
        assert [near["label"] for near in image["neighbours"]] == [
            dataset.class_names[labels[k]] for k in places
        ]
        found = [near["distance"] for near in image["neighbours"]]
        np.testing.assert_allclose(found, distances[places], rtol=1e-3)
        for shown in (image, *image["neighbours"]):
            picture = Image.open(io.BytesIO(base64.b64decode(shown["jpeg"])))
            assert max(picture.size) <= 128
            mean = np.asarray(picture, np.float64).mean((0, 1))
            assert mean.argmax() == list(tiny.COLOURS).index(shown["label"])


def test_the_picture_is_there_and_features_are_computed_once(run, dataset, figure, monkeypatch):
    folder = run.workdir / "analysis"
    pictures = {f"figure4.{form}" for form in ("png", "svg", "pdf")}
    others = {"features", "neighbours.json", "predictions.json"}
    assert {path.name for path in folder.iterdir()} == pictures | others
    svg = (folder / "figure4.svg").read_text()
    assert ">the right class<" in svg  # of the legend, which has a green patch
    assert svg.count("fill: #8fd19e") == 8 + 1  # a bar for each image: of three classes all show
    assert (folder / "figure4.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(folder / "figure4.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(1 << 24)) > 1000
    before = (folder / "neighbours.json").read_text()
    monkeypatch.setattr(extraction, "split_batches", None)  # a call would fail
    names = dataset.class_names
    numbers = [figure[1], 9, 12]
    assert similar.neighbours(run, dataset, numbers, names, folder / "features") == json.loads(
        before
    )
    # Of other weights they are made anew.
    params = jax.tree.map(lambda x: x * 2, run.state.params)
    other = dataclasses.replace(run, state=dataclasses.replace(run.state, params=params))
    with pytest.raises(TypeError, match="NoneType"):
        similar.neighbours(other, dataset, numbers, names, folder / "features")


def test_neighbours_where_the_last_hidden_layer_is_a_convolution(run, dataset, tmp_path):
    model = copy.deepcopy(run.config.model)
    model.drop_layers = "fc6,fc7"
    arch = resolving.resolve(model, 3)
    params = draw_params(arch)
    other = dataclasses.replace(run, arch=arch, state=dataclasses.replace(run.state, params=params))
    found = similar.neighbours(other, dataset, [9, 4], dataset.class_names, tmp_path)
    assert found["layer"] == "conv5"
    edge = (256 - arch.image_size) // 2
    middle = slice(edge, edge + arch.image_size)

    def features(split, indices):
        images = dataset.read(split, indices)[0] - dataset.statistics.mean_image
        values = run_net(arch, params, images[:, middle, middle])[1]["relu5"].astype(np.float64)
        return np.moveaxis(values, 0, 1).reshape(len(indices), -1)

    queries = features("validation", [9, 4])
    training = features("train", range(dataset.num_examples("train")))
    for query, image in zip(queries, found["images"], strict=True):
        nearest = np.unique(np.linalg.norm(training - query, axis=1))[:6]
        np.testing.assert_allclose([x["distance"] for x in image["neighbours"]], nearest, rtol=1e-3)


def test_the_paper_s_figures_from_the_run(run, dataset, figure, tmp_path):
    slide, column = figures.SIZES
    runs = figures.Runs([run.workdir], "best")
    (axes,) = runs.figure2()["figure2"](slide).axes
    texts = [text.get_text() for text in axes.texts]
    for row in rows(run.arch):
        if len(row.product) == 3:
            assert "x".join(map(str, row.product)) in texts
    assert texts.count("3") == 1  # classes, of both columns

    columns = runs.figure3()["figure3"](column).axes
    kernels = jax.device_get(run.state.params["conv1"]["kernel"])
    assert len(columns) == len(kernels) == 2
    grid = np.concatenate([axes.images[0].get_array()[:-1] for axes in columns])
    np.testing.assert_array_equal(grid, filter_grid(kernels)[:-1])
    shares = colour_shares(kernels)
    for axes, share in zip(columns, shares, strict=True):
        assert f"{share:.0%} of the energy is colour" in axes.get_title("left")

    left, right = (draw(column) for draw in runs.figure4().values())  # as the fixture left them
    content = of_folder(run, "predictions.json")
    bars = [[text.get_text() for text in axes.texts] for axes in left.axes if axes.texts]
    assert bars == [[line["class"] for line in image["top"]] for image in content["images"]]
    content = of_folder(run, "neighbours.json")
    assert sum(len(axes.images) for axes in right.axes) == 3 * (1 + 6)
    same = [near["label"] == x["label"] for x in content["images"] for near in x["neighbours"]]
    assert sum(len(axes.patches) for axes in right.axes) == sum(same)  # frames


def test_figures_that_cannot_be_drawn_are_named(folder, tmp_path):
    flags = (f"--workdir={folder / 'run'}", f"--out={tmp_path / 'new'}", "--figures=1,2")
    done = commands.run("analysis.figures", *flags)
    assert done.code == 0 and done.err.count("\n") == 1, done
    assert done.err.startswith("figure 1 is not drawn: ")
    result = json.loads(done.out.splitlines()[-1])
    assert list(result["not_drawn"]) == ["1"]
    names = {f"figure2-{size}.{form}" for size in ("slide", "column") for form in ("svg", "pdf")}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    assert result["files"] == [
        str(tmp_path / "new" / pathlib.Path(x).name) for x in result["files"]
    ]


@pytest.mark.parametrize("asked", [{"images": [16]}, {"queries": [0, 99]}])
def test_images_that_are_not_there(asked):
    with pytest.raises(ConfigError, match=f"--{next(iter(asked))} are numbers from 0 to 15; got"):
        choose(16, 0, **asked)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / command.FOLDER).write_text("in the way")
    said = "analysis could not be written: File exists; fix that and run again$"
    with pytest.raises(ConfigError, match=said):
        command.output_folder(tmp_path)


def test_numbers_are_whole():
    assert command.numbers("images", ["3", " 12"]) == [3, 12]
    for wrong in ("cat", "²"):
        with pytest.raises(ConfigError, match=f"--images are whole numbers .*; got '{wrong}'"):
            command.numbers("images", ["3", wrong])


def test_a_seed_draws_the_same_images_and_none_twice():
    drawn = choose(50, 7)
    assert drawn == choose(50, 7) != choose(50, 8)
    assert [len(part) for part in drawn] == [8, 5] and len({*drawn[0], *drawn[1]}) == 13
    assert choose(3, 0)[1] and len(choose(3, 0)[0]) == 3


def scaled(run, factor: float):
    """The same run with other weights in its last layers."""
    params = {name: dict(layer) for name, layer in run.state.params.items()}
    params["fc7"] = jax.tree.map(lambda x: x * factor, params["fc7"])
    return dataclasses.replace(run, state=dataclasses.replace(run.state, params=params))


def test_features_of_a_split_of_two_nets_side_by_side(run, dataset, plain, tmp_path):
    names, labels, hidden, _ = plain["validation"]
    batches = with_names(dataset, "validation", split_batches(run, dataset, "validation"))
    made = export_features([run, scaled(run, 3.0)], batches, "", tmp_path / "x" / "a.npz")
    assert made["layer"] == "relu7" and made["shape"] == [len(names), 2 * hidden.shape[1]]
    with np.load(tmp_path / "x" / "a.npz") as file:
        assert file["files"].tolist() == names and file["labels"].tolist() == labels.tolist()
        one, two = np.split(file["features"], 2, axis=1)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, hidden, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(two, 3 * one, rtol=1e-3, atol=1e-4)  # a ReLU and no bias: linear
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a.npz"]


def test_features_of_files_as_records(run, folder, tmp_path):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for k in range(5):
        shutil.copy(folder / f"images/val/bee/{k}.jpg", tmp_path / "photos/deep" / f"ü{k}.jpg")
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no picture")
    paths, bad = image_files([str(tmp_path / "photos")]), []
    out = tmp_path / "a.array_record"
    made = export_features([run], batches(squares(paths), 4, bad.append), "pool1", out)
    assert [pathlib.Path(error.name).name for error in bad] == ["bad.jpg"]
    assert made["shape"] == [5, *made["shape"][1:]] and len(made["shape"]) == 4
    records = array_record_module.ArrayRecordReader(str(out)).read_all()
    pictures = [np.asarray(b["image"]) for b in batches(squares(paths), 5, bad.append)]
    expected = np.asarray(extractor(run, "pool1")(pictures[0]))
    assert len(records) == 5
    for record, value, path in zip(records, expected, paths[1:], strict=True):
        feature = tf_example_pb2.Example.FromString(record).features.feature
        assert feature["file_name"].bytes_list.value[0].decode() == str(path)
        assert feature["label"].int64_list.value[0] == -1
        shape = tuple(feature["shape"].int64_list.value)
        found = np.array(feature["features"].float_list.value, np.float32).reshape(shape)
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5)


def test_features_that_cannot_be(run, tmp_path):
    with pytest.raises(ConfigError, match=r"--out ends in \.npz or \.array_record; got .*a\.csv"):
        export_features([run], iter(()), "", tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="no layer 'fc9'"):
        export_features([run], iter(()), "fc9", tmp_path / "a.npz")
    with pytest.raises(DataError, match="not one image could be read"):
        export_features([run], iter(()), "", tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_words_name_the_classes(run, dataset, tmp_path):
    assert short_names(run, dataset) == ["ant", "bee", "cow"]
    words = tmp_path / "words.tsv"
    words.write_text("ant\tcrane, lifting device\nbee\thoney bee\ncow\tcrane\n")
    named = restore(run.workdir, classes=str(words))
    assert short_names(named, dataset) == ["crane (ant)", "honey bee", "crane (cow)"]


def test_colour_and_filters_of_the_run(folder, run):
    content = colour.colour(run.workdir)
    assert [line["step"] for line in content["over_steps"]] == [0, 4, 6]  # drawn; the two kept
    assert content["over_steps"][-1]["columns"] == content["columns"]
    kernels = jax.device_get(run.state.params["conv1"]["kernel"]).astype(np.float64)
    for c, column in enumerate(content["columns"]):
        grey = kernels[c].sum(2) ** 2 / 3
        assert column == pytest.approx(1 - grey.sum() / (kernels[c] ** 2).sum())
    assert content["over_steps"][0]["columns"] == pytest.approx([2 / 3] * 2, abs=0.1)
    assert of_folder(run, "colour.json") == content
    made = filters.filters(run.workdir, 4, each=True)
    assert (made["step"], made["columns"], made["filters"]) == (4, 2, 2 * kernels.shape[-1])
    with Image.open(made["file"]) as picture:
        assert picture.format == "PNG"
    with pytest.raises(CheckpointError, match="holds no run"):
        colour.colour(folder)


def test_tables_and_one_line_of_json(run, dataset, capsys):
    colour.report([run.workdir, run.workdir], "4")
    *table, last = capsys.readouterr().out.splitlines()
    assert [line["step"] for line in json.loads(last)["runs"]] == [4, 4] and len(table) == 6
    classes.report(classes.classes(run, dataset), run.workdir / "analysis" / "classes.json", rows=2)
    *table, last = capsys.readouterr().out.splitlines()
    said, content = json.loads(last), of_folder(run, "classes.json")
    wrong = sum(line["images"] for line in content["confusions"])
    assert said["images"] == 16 and said["top1_error"] == pytest.approx(wrong / 16)
    assert "worst of 3" in table[0] and len(table) == 14  # two tables of two rows


def test_bad_files_are_named_and_the_exit_code_says_so(folder, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    shutil.copy(folder / "images/val/bee/0.jpg", tmp_path)
    out = tmp_path / "a.npz"
    flags = [f"--workdir={folder / 'run'}", f"--out={out}", str(tmp_path)]
    done = commands.run("analysis.features", *flags)
    result = json.loads(done.out.splitlines()[-1])
    assert done.code == 1 and (result["images"], result["bad"]) == (1, 1), done.err
    assert done.err.count("\n") == 1 and "bad.jpg" in done.err
    beside = json.loads((tmp_path / "a.npz.json").read_text())
    assert beside["layer"] == "relu7" and beside["shape"] == result["shape"]


def test_explore_writes_a_page_of_pictures_and_names_what_cannot_be_read(folder, tmp_path):
    out = tmp_path / "explore.html"
    images = [folder / "images/val/ant/0.jpg", folder / "images/val/bee/0.jpg", tmp_path / "no.jpg"]
    done = commands.run("analysis.explore", f"--workdir={folder / 'run'}", f"--out={out}", *images)
    about, bad = done.err.splitlines()
    assert done.code == 1 and about.startswith("data: ") and "no.jpg" in bad, done
    result = json.loads(done.out.splitlines()[-1])
    assert result == {"file": str(out), "images": 2, "bad": 1, "bytes": out.stat().st_size}
    assert '"training">{"searched":' in out.read_text()
    assert out.read_text().count('id="values-1-') == out.read_text().count('id="values-0-') > 8
