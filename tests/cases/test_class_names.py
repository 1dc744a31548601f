"""Nets that do not know the names of their classes, and images of some of a net's classes."""

import json
import shutil

import numpy as np
import pytest

from alexnet_jax.data.sources.ilsvrc2012_words import words
from alexnet_jax.errors import ConfigError
from alexnet_jax.inference import predictions
from alexnet_jax.net import resolving
from alexnet_jax.run.restore import restore
from alexnet_jax.weights import init_from
from tests.support import commands, tiny, weight_files

TWELVE = tuple(f"{k:02}" for k in range(12))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """images/val of ant, bee and cow; a net that knows them; one that does not; one of twelve."""
    folder = tiny.write_images(tmp_path_factory.mktemp("names"))
    weight_files.drawn_run(folder, folder / "net")
    shutil.copytree(folder / "net", folder / "nameless")
    weight_files.drawn_run(folder, folder / "twelve", class_names=TWELVE)
    for net in ("nameless", "twelve"):
        (folder / net / "classes.json").unlink()
    (folder / "abc.txt").write_text("ant\nbee\ncow\n")
    (folder / "cab.txt").write_text("cow\nant\nbee\n")
    return folder


def evaluated(folder, net: str, *flags: str) -> tuple[predictions.Predictions, dict, str]:
    """Return what evaluate keeps, its row and what it says about classes."""
    out = folder / "kept.npz"
    done = commands.run("evaluate", f"--workdir={folder / net}", f"--out={out}", *flags)
    assert done.code == 0, done.err
    said = [line for line in done.err.splitlines() if line.startswith("classes: ")]
    return predictions.load(out), json.loads(done.out.splitlines()[-1])["rows"][0], "".join(said)


def test_item_2_folders_of_numbers_are_in_their_order(folder):
    """Folders 0 to 11 are the outputs 0 to 11, though as text 10 comes before 2."""
    images = sorted((folder / "images" / "val").rglob("*.jpg"))
    for k in range(12):
        for place in (folder / "text" / "val" / f"{k}", folder / "padded" / "val" / f"{k:02}"):
            place.mkdir(parents=True)
            shutil.copy(images[k], place)
    kept, row, said = evaluated(folder, "twelve", f"--data_dir={folder / 'text'}")
    right, expected, _ = evaluated(folder, "twelve", f"--data_dir={folder / 'padded'}")
    assert kept.class_names[:4] == ("0", "1", "10", "11") and right.class_names == TWELVE
    outputs = [int(name) for name in kept.class_names]
    order = np.argsort([outputs[label] for label in kept.labels])
    np.testing.assert_array_equal(kept.probabilities[0][order], right.probabilities[0][:, outputs])
    assert (row["top1_error"], row["loss"]) == (expected["top1_error"], expected["loss"])
    assert said == "classes: 12 classes in the order of their numbers, 0 to 11"


@pytest.mark.parametrize("softmax", ["all", "these"])
@pytest.mark.parametrize("names", [("bee", "cow"), ("ant", "cow"), ("ant", "bee")])
def test_item_2_some_of_a_nets_classes_are_evaluated_by_name(folder, names, softmax):
    """A folder with some of a net's classes (ImageNet-A, -R) is evaluated by name."""
    whole, _, said = evaluated(folder, "net")
    assert said == ""
    place = folder / "-".join(names)
    for name in names:
        shutil.copytree(folder / "images" / "val" / name, place / "val" / name, dirs_exist_ok=True)
    kept, row, said = evaluated(folder, "net", f"--data_dir={place}", f"--softmax={softmax}")
    outputs = [whole.class_names.index(name) for name in names]
    rows = np.isin(whole.labels, outputs)
    p, labels = whole.probabilities[0][rows].astype(np.float64), whole.labels[rows]
    if softmax == "these":
        p[:, [k for k in range(3) if k not in outputs]] = 0
        p /= p.sum(1, keepdims=True)
    assert row["top1_error"] == (p.argmax(1) != labels).mean() and row["softmax"] == softmax
    np.testing.assert_allclose(row["loss"], -np.log(p[np.arange(len(p)), labels]).mean(), rtol=1e-5)
    assert kept.class_names[:2] == names and len(kept.class_names) == (3 if softmax == "all" else 2)
    assert f"2 classes by their names of the net's 3; softmax over {softmax} (" in said


def test_nets_of_other_classes_are_compared_on_those_of_the_images(folder):
    """Nets that share the images' classes only: averaged over these, refused over all."""
    others = {"dogs": ("bee", "cow", "dog"), "many": ("ant", "bee", "cow", "dog")}
    for name, classes in others.items():
        weight_files.drawn_run(folder, folder / name, seed=1, class_names=classes)
    for name in ("bee", "cow"):
        shutil.copytree(folder / "images" / "val" / name, folder / "two" / "val" / name)
    data, these = f"--data_dir={folder / 'two'}", "--softmax=these"
    nets = ("net", *others)
    for name in others:
        both = [f"--workdir={folder / net}" for net in ("net", name)]
        refused = commands.run("evaluate", *both, data)
        said = f"net and {folder / name} do not share the classes that the images do not have: give"
        assert refused.code == 2 and said in refused.err.splitlines()[-1]
    flags = (data, these, f"--out={folder / 'three.npz'}")
    done = commands.run("evaluate", *(f"--workdir={folder / net}" for net in nets), *flags)
    assert done.code == 0, done.err
    rows = json.loads(done.out.splitlines()[-1])["rows"]
    assert len(rows) == 4 and all(row["softmax"] == "these" for row in rows)
    together = predictions.load(folder / "three.npz").probabilities
    alone = [evaluated(folder, net, data, these)[0].probabilities for net in nets]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-6)
    # Where the images have all classes of the first net, a later one may still have more.
    both = [f"--workdir={folder / net}" for net in ("net", "many")]
    done = commands.run("evaluate", *both, f"--data_dir={folder / 'images'}", these)
    assert done.code == 0 and '"softmax": "these"' in done.out


@pytest.mark.parametrize("place", ["imagenet-a", "wrapped/imagenet-r", "sketch/val"])
def test_item_2_some_wnids_are_outputs_of_an_imagenet_net(folder, place):
    """A folder of a few wnids goes to their outputs of the 1000, however it is wrapped."""
    if not (folder / "imagenet").exists():
        weight_files.drawn_run(folder, folder / "imagenet", class_names=tuple(words()))
    outputs = {"n01440764": 0, "n01498041": 6, "n15075141": 999}  # tench, stingray, toilet tissue
    for wnid, animal in zip(outputs, ("ant", "bee", "cow"), strict=True):
        shutil.copytree(folder / "images" / "val" / animal, folder / place / wnid)
    (folder / place / "README.txt").touch()
    root = folder / place.split("/")[0]
    kept, row, said = evaluated(folder, "imagenet", f"--data_dir={root}")
    assert row["images"] == tiny.VALIDATION and row["softmax"] == "all"
    others = [name for name in words() if name not in outputs]
    assert kept.class_names == (*outputs, *others)
    assert said.startswith("classes: 3 classes by their names of the net's 1,000; softmax over all")
    these, _, _ = evaluated(folder, "imagenet", f"--data_dir={root}", "--softmax=these")
    p = kept.probabilities[..., :3]
    np.testing.assert_allclose(these.probabilities, p / p.sum(-1, keepdims=True), rtol=1e-6)


def test_item_2_words_are_refused_until_a_file_says_their_order(folder):
    """A net without names refuses folders of words, with the mapping and how to accept it."""
    flag = f"--workdir={folder / 'nameless'}"
    said = "alphabetical order (0 'ant', 1 'bee', 2 'cow'): if that is right, list them"
    commands.assert_refused(said, "evaluate", flag)
    commands.assert_refused("--classes=FILE", "evaluate", flag)
    whole, row, _ = evaluated(folder, "net")
    kept, same, _ = evaluated(folder, "nameless", f"--classes={folder / 'abc.txt'}")
    assert same["loss"] == row["loss"] and kept.class_names == whole.class_names
    kept, _, said = evaluated(folder, "nameless", f"--classes={folder / 'cab.txt'}")
    np.testing.assert_array_equal(kept.probabilities, whole.probabilities[:, :, [1, 2, 0]])
    assert said == "classes: 3 classes by their names"


@pytest.mark.parametrize(
    ("net", "classes", "layers", "said"),
    [
        ("nameless", "ant bee cow", (), "the names of its outputs are not known"),
        ("net", "ant bee elk", (), "its outputs are 'ant', 'bee', 'cow'"),
        ("nameless", "1 10 2", (), "this run's labels are 0 '1', 1 '10', 2 '2'"),
        ("net", "ant bee cow", (), None),
        ("nameless", "0 1 2", (), None),
        ("nameless", "n01440764 n01443537 n01484850", (), None),
        ("nameless", "ant bee cow", ("fc7", "fc8"), None),  # it is named, so it is meant
        ("nameless", "ant bee cow", ("conv1",), None),
    ],
)
def test_item_2_init_from_takes_the_outputs_only_in_their_order(folder, net, classes, layers, said):
    """init_from of a net without names, or of other classes, is refused unless fc8 is named."""
    config = tiny.config(folder, init_from=str(folder / net), init_layers=layers)
    arch = resolving.resolve(config.model, 3)
    if said is None:
        init_from.check_fits(config, arch, tuple(classes.split()))
        return
    with pytest.raises(ConfigError) as error:
        init_from.check_fits(config, arch, tuple(classes.split()))
    assert said in str(error.value) and "--config.init_layers=conv1,conv2" in str(error.value)


def test_item_20_predict_and_export_take_names(folder):
    """predict and export take --classes and show its names."""
    flags = [f"--workdir={folder / 'nameless'}", f"--classes={folder / 'cab.txt'}"]
    picture = str(folder / "images" / "val" / "ant" / "0.jpg")
    shown, known = (
        commands.run("predict", *flags, "--json", picture),
        commands.run("predict", f"--workdir={folder / 'net'}", "--json", picture),
    )
    top = [json.loads(done.out.splitlines()[0])["top"] for done in (shown, known)]
    other = {"ant": "cow", "bee": "ant", "cow": "bee"}
    assert [best["class"] for best in top[0]] == [other[best["class"]] for best in top[1]]
    out = folder / "net.jaxexport"
    assert commands.run("export", *flags, f"--out={out}").code == 0
    assert json.loads(out.with_suffix(".json").read_text())["classes"] == ["cow", "ant", "bee"]


@pytest.mark.parametrize(
    "command",
    ["evaluate", "predict", "export"]
    + [f"analysis.{name}" for name in ("classes", "explore", "features", "figure4")],
)
def test_item_20_all_commands_that_show_names_take_the_file(folder, command):
    """A file that is not there is refused by each: so each reads --classes, before any picture."""
    flags = [f"--workdir={folder / 'net'}", "--classes=none.txt"]
    flags += [f"--out={folder / 'x.npz'}"] if command == "analysis.features" else []
    flags += [f"--out={folder / 'x.jaxexport'}"] if command == "export" else []
    picture = [folder / "abc.txt"] if command in ("predict", "analysis.explore") else []
    commands.assert_refused("none.txt cannot be read", command, *flags, *picture)


def test_item_20_the_analysis_takes_the_same_file(folder):
    """analysis.classes and analysis.explore take the same --classes and show its words."""
    (folder / "latin.txt").write_text("ant\tFormica, an ant\nbee\tApis\ncow\tBos\n")
    flags = [f"--workdir={folder / 'nameless'}", f"--classes={folder / 'latin.txt'}"]
    assert commands.run("analysis.classes", *flags).code == 0
    content = json.loads((folder / "nameless" / "analysis" / "classes.json").read_text())
    assert [line["class"] for line in content["classes"]] == ["Formica", "Apis", "Bos"]
    picture = str(folder / "images" / "val" / "ant" / "0.jpg")
    assert commands.run("analysis.explore", *flags, picture).code == 0
    page = (folder / "nameless" / "explore.html").read_text()
    assert '"Formica, an ant"' in page and '"Bos"' in page


def test_item_20_wnids_show_words_without_a_file(folder):
    """A net of wnids shows ILSVRC's words, also one whose folder was written without them."""
    weight_files.drawn_run(folder, folder / "wnids", class_names=("n01440764", "n01498041", "x"))
    rows = [{"name": name, "words": name} for name in ("n01440764", "n01498041", "x")]
    (folder / "wnids" / "classes.json").write_text(json.dumps(rows))
    assert restore(folder / "wnids").words == ("tench, Tinca tinca", "stingray", "x")
