"""Recipes by name and by path, from a clone and from an installed package."""

import pathlib
import shutil
import subprocess
import sys

import pytest
import setuptools

from alexnet_jax.errors import ConfigError
from alexnet_jax.system import recipes
from tests.support import tiny

REFUSED = "error: epochs is at least 1; got 0\n"  # which only a config that was loaded can say


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> pathlib.Path:
    """What an installation of the wheel makes: the recipes are inside the package."""
    folder = tmp_path_factory.mktemp("site")
    nothing = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tiny.REPOSITORY / "alexnet_jax", folder / "alexnet_jax", ignore=nothing)
    shutil.copytree(tiny.REPOSITORY / "configs", folder / "alexnet_jax" / "recipes", ignore=nothing)
    return folder


def main(site: pathlib.Path, cwd: pathlib.Path, *flags: str) -> tuple[str, str]:
    """Return what main says of a config that it refuses."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import runpy; " + (
        "runpy.run_module('alexnet_jax.main', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-P", "-c", code, *flags, "--config.epochs=0"]
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    return run.stdout, run.stderr


@pytest.mark.slow
def test_an_installed_package_finds_its_recipes_by_name_from_anywhere(site, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "__init__.py").write_text("raise SystemExit('not this one')")
    said = main(site, tmp_path, "--config=quickstart")
    assert said == ("the run's folder is runs/quickstart\n", REFUSED)


@pytest.mark.slow
def test_a_recipe_that_builds_on_another_works_where_it_is_copied(site, tmp_path):
    copy = shutil.copy(tiny.REPOSITORY / "configs" / "finetune_ilsvrc2012.py", tmp_path / "mine.py")
    (tmp_path / "configs.py").write_text("raise SystemExit('not this one')")
    said = main(site, tmp_path, "--config", pathlib.Path(copy).name)
    assert said == ("the run's folder is runs/mine\n", REFUSED)


@pytest.mark.slow
def test_the_command_of_the_clone_needs_no_folder():
    said = main(tiny.REPOSITORY, tiny.REPOSITORY, "--config=configs/ilsvrc2012.py")
    assert said == ("the run's folder is runs/ilsvrc2012\n", REFUSED)


def test_what_is_there_no_recipe_is_one_line_with_those_that_there_are():
    for wrong in ("nothing", "nowhere/quickstart.py", "configs/nothing.py:argument"):
        with pytest.raises(ConfigError) as error:
            recipes.find(wrong)
        file = wrong.partition(":")[0]
        expected = f"no recipe {file}: give the path of a file, or one of caffe, cifar18, cifar26"
        assert str(error.value).startswith(expected)


def test_names_and_paths(tmp_path, monkeypatch):
    inside = tiny.REPOSITORY / "configs" / "caffe.py"
    assert recipes.find("caffe") == str(inside)
    assert recipes.find("caffe:small") == f"{inside}:small"
    assert recipes.find(str(inside)) == str(inside)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "caffe").mkdir()
    assert recipes.find("caffe") == str(inside)  # a folder is no recipe
    (tmp_path / "caffe").rmdir()
    (tmp_path / "caffe").write_text("")
    assert recipes.find("caffe") == "caffe"  # a file of one's own comes first
    given = ["main", "--config=quickstart", "--config.seed=1", "--workdir=caffe", "quickstart"]
    path = recipes.find("quickstart")
    expected = ["main", f"--config={path}", *given[2:]]
    assert recipes.with_paths(given) == expected
    assert recipes.with_paths(["main", "--config", "quickstart"]) == ["main", "--config", path]


def test_what_is_installed_is_the_package_with_its_recipes(monkeypatch):
    told: dict = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    monkeypatch.chdir(tiny.REPOSITORY)
    exec((tiny.REPOSITORY / "setup.py").read_text(), {})
    assert told["package_dir"] == {"alexnet_jax.recipes": "configs"}
    folders = {path.parent for path in (tiny.REPOSITORY / "alexnet_jax").rglob("*.py")}
    modules = {".".join(folder.relative_to(tiny.REPOSITORY).parts) for folder in folders}
    assert {name for name in told["packages"] if "__pycache__" not in name} == (
        modules | {"alexnet_jax.recipes"}
    )
