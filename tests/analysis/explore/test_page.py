"""The page as a browser shows it: its numbers, its steps, hostile names, a phone and the dark."""

import json
import pathlib
import re
import time

import numpy as np
import pytest

from alexnet_jax.analysis.explore import content, page, pieces
from alexnet_jax.analysis.explore.activations import looker
from alexnet_jax.net.response_norm import local_response_norm
from tests.support import chromium, explored
from tests.support.left_runs import HOSTILE

in_a_browser = pytest.mark.skipif(
    chromium.PATH is None, reason=f"none of {', '.join(chromium.NAMES)} is on PATH"
)
NAMES = tuple(f"{HOSTILE} {k}" for k in range(10))
FILES = [pathlib.Path(f"a/{HOSTILE.replace('/', '|')}"), pathlib.Path("b.png")]
LUMINANCE = "getComputedStyle(document.body)['{}'].match(/\\d+/g).reduce((a, b) => a + +b, 0)"


@pytest.fixture(scope="module")
def net():
    return explored.restored(pathlib.Path("<b onclick=alert(1)>run"), NAMES)


@pytest.fixture(scope="module")
def text(net):
    about = content.net(net), explored.pictures(net, FILES)
    seen = [looker(net)(explored.picture(0))]
    return page.page(*about, pieces.pieces(net, explored.Training(), 12, seen))


@pytest.fixture(scope="module")
def path(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "explore.html"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def test_the_file_fetches_nothing_and_names_cannot_leave_their_text(text):
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text and "unsafe-eval" not in text
    assert len(re.findall(r"<script\b", text)) == text.count("</script>")
    assert "<b onclick" not in text and "<img src=x" not in text
    (about,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', text)
    about = json.loads(about)
    assert about["pictures"][0]["file"] == FILES[0].name
    assert all(row["class"] in NAMES for row in about["pictures"][0]["answer"]["top"])


def step(tab, name: str) -> None:
    """Choose a step, and wait until it is there."""
    names = tab.value("[...document.getElementById('steps').options].map(x => x.textContent)")
    (index,) = [k for k, text in enumerate(names) if text.split(". ", 1)[1].startswith(name)]
    tab.value(
        f"(x => {{ x.value = {index}; x.dispatchEvent(new Event('change')); }})"
        "(document.getElementById('steps'))"
    )
    wait(tab, f"shown() == {index}")


def wait(tab, condition: str) -> None:
    shown = "const shown = () => document.getElementById('figure').dataset.step;"
    for _ in range(100):
        if tab.value(f"(() => {{ {shown} return !!({condition}); }})()"):
            return
        time.sleep(0.02)
    raise AssertionError(f"{condition}: {tab.complaints()}")


def numbers(tab) -> list[float]:
    """Return the numbers at the end of the lines of a formula."""
    lines = tab.value("[...document.querySelectorAll('.formula')].map(x => x.textContent)")
    return [float(re.findall(r"-?[\d.]+(?:e[+-]\d+)?", line)[-1]) for line in lines]


@in_a_browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_step_is_shown_and_fits(tab, path, net, width, dark):
    tab.open(path, width, dark=dark)
    steps = len(content.steps(net.arch))
    for index in range(steps):
        wait(tab, f"shown() == {index}")
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value("document.querySelectorAll('main canvas').length") > 0
        tab.value("document.getElementById('forward').click()")
    assert tab.complaints() == []
    assert tab.requests() == [path.as_uri()]
    ink, paper = (tab.value(LUMINANCE.format(name)) for name in ("color", "backgroundColor"))
    assert (paper < 150 < ink) if dark else (ink < 150 < paper)


@in_a_browser
def test_hostile_names_are_shown_as_text(tab, path):
    tab.open(path, 1280)
    step(tab, "ten views")
    assert tab.value("document.querySelectorAll('img[src=x], main script, h1 b').length") == 0
    assert tab.value("document.getElementById('title').textContent") == "<b onclick=alert(1)>run"
    said = tab.value("document.getElementById('panel').textContent")
    assert '<script>alert("x")</script>' in said
    assert tab.value("document.querySelector('#pictures img').alt").startswith("<script>")


@in_a_browser
def test_keys_step_and_move_the_pixel_and_korean_is_there(tab, path):
    tab.open(path, 1280)
    wait(tab, "shown() == 0")
    key = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}))"
    tab.value(key % "ArrowRight")
    wait(tab, "shown() == 1")
    assert "row 12, pixel 12 of 23" in tab.value("document.getElementById('lens').textContent")
    tab.value((key % "ArrowUp").replace("body", "querySelector('.large canvas')"))
    assert "row 11, pixel 12 of 23" in tab.value("document.getElementById('lens').textContent")
    tab.value(key % "ArrowLeft")
    wait(tab, "shown() == 0")
    tab.value("document.getElementById('language').click()")
    assert "평균" in tab.value("document.getElementById('words').textContent")


@in_a_browser
def test_a_swipe_steps_and_a_tap_chooses_a_map(tab, path):
    tab.open(path, 390)
    wait(tab, "shown() == 0")
    for start, end, then in ((300, 60, 1), (300, 60, 2), (60, 300, 1), (300, 280, 1)):
        top = tab.value("document.querySelector('#words p').getBoundingClientRect().top") + 8
        swipe = [("touchStart", [{"x": start, "y": top}]), ("touchMove", [{"x": end, "y": top}])]
        for kind, points in (*swipe, ("touchEnd", [])):
            tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        wait(tab, f"shown() == {then}")
    title = "document.querySelector('#lens h2').textContent"
    before = tab.value(title)
    tab.value("document.querySelectorAll('.sheet canvas')[1].scrollIntoView()")
    box = "document.querySelectorAll('.sheet canvas')[1].getBoundingClientRect()"
    x, y = tab.value(f"{box}.left") + 5, tab.value(f"{box}.top") + 60
    for kind in ("mousePressed", "mouseReleased"):
        mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
        tab.call("Input.dispatchMouseEvent", type=kind, **mouse)
    wait(tab, f"{title} !== {json.dumps(before)}")
    assert "of column 2" in tab.value(title)


@in_a_browser
def test_normalization_and_pooling_under_the_pointer_are_those_of_the_net(tab, path, net):
    """For five pixels on a line; the page has the values to 11 bits."""
    seen = looker(net)(explored.picture(0)).activations
    lrn, relu = net.arch.lrn, seen["relu1"].astype(np.float64)  # (columns, H, W, channels)
    expected = np.asarray(local_response_norm(seen["relu1"]))
    np.testing.assert_allclose(expected, seen["norm1"], rtol=1e-5)
    tab.open(path, 1280)
    step(tab, "conv1: LRN")
    right = "document.querySelector('.large canvas').dispatchEvent("
    right += "new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    title = tab.value("document.querySelector('#lens h2').textContent")
    channel, column = (int(number) - 1 for number in re.findall(r"\d+", title)[-2:])
    for x in range(11, 16):
        first, last = max(0, channel - lrn.n // 2), channel + lrn.n // 2 + 1
        total = np.square(relu[column, 11, x, first:last]).sum()
        denominator = (lrn.k + lrn.alpha * total) ** lrn.beta
        after = seen["norm1"][column, 11, x, channel]
        np.testing.assert_allclose(numbers(tab), [total, denominator, after], rtol=2e-3)
        tab.value(right)
    step(tab, "conv1: pool")
    cells = "[...document.querySelectorAll('td.best')].map(x => +x.textContent)"
    for x in range(16, 21):  # the pointer stays where it was
        largest = float(tab.value(cells)[0])
        row = tab.value("document.querySelector('#lens .remark').textContent")
        assert f"row 12, pixel {x + 1}" in row, row
        expected = seen["pool1"][column, 5, min(x // 2, 10), channel]
        np.testing.assert_allclose(largest, expected, rtol=2e-3)
        tab.value(right)


@in_a_browser
def test_a_unit_has_its_nine_training_images(tab, path, text, tmp_path):
    (kept,) = re.findall(r'<script type="application/json" id="training">(.*?)</script>', text)
    layers = json.loads(kept)["layers"]
    tab.open(path, 390)
    for layer, name in (("conv5", "conv5 3x3"), ("conv5", "conv5: pool"), ("fc7", "fc7: dropout")):
        step(tab, name)
        title = tab.value("document.querySelector('#lens h2').textContent")
        unit, column = (int(number) - 1 for number in re.findall(r"\d+", title)[-2:])
        nine = layers[layer][f"{column} {unit}"]
        said = tab.value("[...document.querySelectorAll('.pieces figure')].map(x => x.innerText)")
        values = [float(line.rpartition("\n")[2]) for line in said]
        np.testing.assert_allclose(values, [entry["value"] for entry in nine], rtol=1e-4)
        assert all(line.startswith('<script>alert("x")</script>') for line in said)
        framed = tab.value("document.querySelectorAll('.pieces .mark').length")
        assert framed == (9 if layer == "conv5" else 0)
    pictures = "[...document.querySelectorAll('.pieces img')]"
    assert tab.value(f"{pictures}.every(x => x.naturalWidth === 96 && x.width >= 96)")
    tab.value("document.getElementById('language').click()")
    wait(tab, "document.querySelector('#nine h2').textContent.includes('학습 이미지 9장')")
    assert tab.value(f"{pictures}[0].alt").startswith("학습 이미지 1: <script>")
    assert tab.complaints() == []

    other = tmp_path / "without.html"
    other.write_text(text.replace(kept, "null"))
    tab.open(other, 390)
    step(tab, "conv5 3x3")
    assert tab.value("document.querySelectorAll('.pieces').length") == 0
    assert tab.complaints() == []
