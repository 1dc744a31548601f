"""Waiting is explained: what takes long, how much of it is done, how long the rest takes."""

import json
import re

import pytest

from tests.support import commands, tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tiny.write_images(tmp_path_factory.mktemp("waiting"))
    return folder, commands.run("main", *tiny.run_flags(folder, folder / "run", epochs=2))


def test_training_says_what_it_does_and_how_long_it_takes(run):
    """The first line has the number of parameters; then: compiling; each line, the time left."""
    lines = run[1].err.splitlines()
    (begins,) = [k for k, line in enumerate(lines) if line.startswith("begins: 11 steps")]
    # 0.03 of the widths, two columns: 1, 4, 6, 6, 4, 61, 61; 67 pixels leave one after conv5.
    sizes = [11 * 11 * 3 * 1 + 1, 25 * 1 * 4 + 4, 9 * 8 * 6 + 6, 9 * 6 * 6 + 6, 9 * 6 * 4 + 4]
    sizes += [8 * 61 + 61, 122 * 61 + 61]
    total = 2 * sum(sizes) + 2 * 61 * 3 + 3
    assert f", {total:,} parameters, " in lines[begins]
    assert lines[begins + 1].startswith("compiling the training step")
    trained = [line for line in lines if re.match(r"step \d+/11 .* train ", line)]
    assert len(trained) == 11 and all(re.search(r"\d+ s left$", line) for line in trained[:-1])


@pytest.mark.parametrize(("views", "name"), [("1", "1 view"), ("5", "5 views"), ("10", "10 views")])
def test_evaluate_says_how_many_images_are_done(run, views, name):
    """evaluate shows images done and the time left; its last line stays one JSON object."""
    done = commands.run("evaluate", f"--workdir={run[0] / 'run'}", f"--views={views}")
    assert done.code == 0, done.err
    assert f"evaluating validation, {name} of each image: 15/15 images" in done.err
    assert json.loads(done.out.splitlines()[-1])["images"] == 15
