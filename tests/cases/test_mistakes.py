"""Ordinary mistakes in a command line, and names that are unusual and right: all in one line."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support import commands, tiny, weight_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A net of ant, bee and cow in net/; a file called file; images/."""
    folder = tiny.write_images(tmp_path_factory.mktemp("mistakes"))
    weight_files.drawn_run(folder, folder / "net")
    (folder / "file").write_text("x")
    return folder


CONFIG = "--config=tests/support/narrow_recipe.py"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("epochs=1.5", "flag --config.epochs=1.5: expected a whole number"),
        ("seed=1e3", "flag --config.seed=1e3: expected a whole number"),
        ("model.width=", "flag --config.model.width=: expected a number"),
        ("data.crop=maybe", "flag --config.data.crop=maybe: expected True or False"),
        ("model.lrn=False", "expected its fields one by one"),
        ("data.mean_values=1", "data.mean_values is three numbers; got [1]"),
        ("epoch=3", "a name in --config.epoch=3 is not in the config: 'epoch' Did you mean"),
        ("data.dirs=x", "a name in --config.data.dirs=x is not in the config: 'dirs' Did you mean"),
    ],
)
def test_a_value_or_a_name_that_no_config_has(tmp_path, value, said):
    """A wrong value says what was expected; a wrong name is named alone."""
    flags = [CONFIG, f"--workdir={tmp_path / 'run'}", "--config.batch_size=8", f"--config.{value}"]
    commands.assert_refused(said, "main", *flags)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["net/config.json", "images", "none.py", "Quickstart"])
def test_what_is_no_recipe(folder, recipe):
    """A run's config.json, a folder or a wrong name is no recipe."""
    given = folder / recipe if (folder / recipe).exists() else recipe
    said = "a recipe is a Python file" if given != recipe else "give the path of a file, or one of"
    commands.assert_refused(said, "main", f"--config={given}")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("main", "--config is missing"),
        ("export", "--workdir is missing"),
        ("analysis.report", "--workdir is missing"),
        ("weights", "--out is missing"),
    ],
)
def test_what_is_needed_is_named(command, said):
    """A command without a flag that it needs names the flag."""
    commands.assert_refused(said, command)


@pytest.mark.parametrize("command", ["evaluate", "analysis.filters", "analysis.report", "predict"])
@pytest.mark.parametrize("workdir", ["file", "file/run", "images", "net/config.json"])
def test_a_workdir_that_is_no_run(folder, command, workdir):
    """A file or another folder in place of a run's holds no run; nobody is told to restore it."""
    words = [folder / "file"] if command == "predict" else []
    flags = f"--workdir={folder / workdir}"
    commands.assert_refused("holds no run: ", command, flags, *words)


@pytest.mark.parametrize("out", ["images.jaxexport", "file/a.jaxexport", "/proc/a.jaxexport"])
def test_an_export_that_cannot_be_written_is_known_before_the_work(folder, out, monkeypatch):
    """What --out names is tried before the net is read."""
    (folder / "images.jaxexport").mkdir(exist_ok=True)
    monkeypatch.setattr("alexnet_jax.run.restore.restore", None)  # a call would fail
    flags = [f"--workdir={folder / 'net'}", f"--out={folder / out}"]
    commands.assert_refused("could not be written: ", "export", *flags)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.pth", "<!DOCTYPE html><html>log in", "it is a web page"),
        ("a.caffemodel", "<html><body>quota", "it is a web page"),
        ("a.safetensors", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.bin", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.npy", "", "the file is empty"),
    ],
)
def test_a_download_that_did_not_succeed(tmp_path, name, content, said):
    """A web page, a pointer of Git LFS or nothing in place of weights is named as that."""
    (tmp_path / name).write_text(content)
    commands.assert_refused(said, "weights", "import", tmp_path / name, f"--out={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["https://a.org/cat.jpg", "http://a.org/x", "ftp://a.org/x"])
def test_a_web_address_is_to_be_downloaded_first(folder, address):
    """A picture on the web is to be downloaded; nobody is told to mount it."""
    commands.assert_refused("download it", "predict", f"--workdir={folder / 'net'}", address)


NAMES = [
    "a b.jpg",
    "[1].jpg",
    "100%.jpg",
    "#x.JPG",
    "new\nline.jpg",
    "ünï.jpg",
    "a=b.jpg",
    "-x.jpg",
]


def test_a_picture_of_any_name_in_a_run_of_any_name(folder):
    """Spaces, brackets, %, #, =, newlines and dashes in the names of a run and its pictures."""
    strange = folder / "run 100% #1 ü=,"
    shutil.copytree(folder / "net", strange)
    pictures = folder / "my [pictures] 50% #2 a=b"
    pictures.mkdir()
    for name in NAMES:
        shutil.copy(folder / "images" / "val" / "ant" / "0.jpg", pictures / name)
    done = commands.run("predict", f"--workdir={strange}", "--json", pictures)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["file"] for row in rows[:-1]} == {str(pictures / name) for name in NAMES}
    assert rows[-1]["bad"] == 0


@pytest.mark.parametrize("name", ["a=b", "#1,2", "100%", "[x]", "-dash"])
def test_a_class_of_any_name(tmp_path, name):
    """Signs in the names of a class and of data.prepared_dir, and links, change nothing."""
    tiny.write_images(tmp_path)
    for split in ("train", "val"):
        (tmp_path / "linked" / split).mkdir(parents=True)
        for given, kept in (("ant", name), ("bee", "bee"), ("cow", "cow")):
            target = tmp_path / "images" / split / given
            (tmp_path / "linked" / split / kept).symlink_to(target)
    flags = ["--config=image_folder", f"--config.data.dir={tmp_path / 'linked'}"]
    flags += [f"--config.data.prepared_dir={tmp_path / f'in {name}'}", "--config.data.size=32"]
    done = commands.run("data.prepare", *flags)
    assert done.code == 0, done.err
    made = json.loads(done.out.splitlines()[-1])
    assert (made["train"], made["validation"], made["classes"]) == (tiny.TRAIN, tiny.VALIDATION, 3)
    labels = [path.read_text() for path in tmp_path.rglob("label.labels.txt")]
    assert labels == ["".join(f"{label}\n" for label in sorted([name, "bee", "cow"]))]


def test_a_prepared_dir_that_is_not_utf_8_is_refused_first(folder):
    """ArrayRecord takes no path that is not UTF-8: one line, and nothing is made."""
    prepared = folder / "latin\udce9"
    flags = ["--config=image_folder", f"--config.data.dir={folder / 'images'}"]
    flags.append(f"--config.data.prepared_dir={prepared}")
    commands.assert_refused("is not UTF-8", "data.prepare", *flags)
    assert not prepared.exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("ensurepip", f"apt install python3.{sys.version_info[1]}-venv"),
        ("version_info <", "Python 3.11 or newer is needed"),
    ],
)
def test_a_python_that_cannot_make_an_environment(tmp_path, lacks, said):
    """`make` names the package of Debian that a Python lacks, or the version that is needed."""
    python = tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh\ncase "$2" in *"{lacks}"*) exit 1;; esac\nexec {sys.executable} "$@"\n"""
    )
    python.chmod(0o755)
    venv = tmp_path / "venv"
    done = subprocess.run(
        ["make", "--silent", f"PYTHON={python}", f"VENV={venv}", f"{venv}/pip"],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and said in done.stdout and not venv.exists()
    assert done.stdout.startswith("error: ") and "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_a_python_that_is_not_there(tmp_path):
    """`make PYTHON=` with a name that is not there says which version is needed."""
    done = subprocess.run(
        [
            "make",
            "--silent",
            f"PYTHON={tmp_path}/none",
            f"VENV={tmp_path}/venv",
            f"{tmp_path}/venv/pip",
        ],
        cwd=tiny.REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and not (tmp_path / "venv").exists()
    assert done.stdout == (
        "error: Python 3.11 or newer is needed; choose one: make PYTHON=python3.12 ...\n"
    )
