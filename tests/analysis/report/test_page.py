"""The report page as a browser shows it, wide, on a phone, in the dark and in print."""

import base64
import re

import pytest

from alexnet_jax.analysis.report import page
from tests.support import chromium, left_runs

pytestmark = pytest.mark.skipif(
    chromium.PATH is None, reason=f"none of {', '.join(chromium.NAMES)} is on PATH"
)
# The box of each figure that is not folded, and how much of it there is.
SEEN = "filter(x => x.checkVisibility())"
FIGURES = f"""[...document.querySelectorAll('figure svg, img')].{SEEN}.map(x => {{
  const box = x.getBoundingClientRect();
  return [box.left, box.right, box.height, x.tagName == 'IMG' ? x.naturalWidth : x.children.length];
}})"""
OUTSIDE = """[...document.querySelectorAll('body *')].filter(x =>
  !x.closest('.wide, .command, svg') && x.getBoundingClientRect().right > innerWidth + 1
).map(x => x.outerHTML.slice(0, 200))"""
LUMINANCE = "getComputedStyle(document.body)['{}'].match(/\\d+/g).reduce((a, b) => a + +b, 0)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of one run with all that there can be, and that of two; and their figures."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for name, epochs in (("one", 4), ("two", 6)):
        workdir = left_runs.write(folder / f"{name} {'long' * 30}", left_runs.lines(epochs))
        left_runs.write_findings(workdir, left_runs.findings())
        runs.append(workdir)
    # The curves, that of colour, the filters, 5 predictions, 5 rows of 7 neighbours. All but the
    # curves and the filters are folded in the page of two.
    return {
        "one": (page.write(runs[:1]), 4 + 1 + 1 + 5 + 35),
        "two": (page.write(runs, folder / "both.html"), 4 + 2),
    }


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_stands_by_itself_and_fits(tab, pages, name, width, dark):
    path, expected = pages[name]
    tab.open(path, width, dark=dark)
    assert tab.complaints() == []
    assert tab.requests() == [path.as_uri()]
    assert tab.value("innerWidth") == width
    assert tab.value("document.documentElement.scrollWidth") <= width, tab.value(OUTSIDE)
    figures = tab.value(FIGURES)
    assert len(figures) == expected
    for left, right, height, content in figures:
        assert 0 <= left < right <= width and height > 20 and content > 0
    ink, paper = (tab.value(LUMINANCE.format(name)) for name in ("color", "backgroundColor"))
    assert (paper < 150 < ink) if dark else (ink < 150 < paper)


def test_charts_can_be_read_on_a_phone(tab, pages):
    tab.open(pages["one"][0], 390)
    sizes = tab.value(
        "[...document.querySelectorAll('.chart text')].map(x => x.getBoundingClientRect().height)"
    )
    assert len(sizes) > 40 and min(sizes) >= 9  # pixels


def test_captions_of_columns_are_apart_on_a_phone(tab, pages):
    tab.open(pages["one"][0], 390)
    boxes = tab.value(
        "[...document.querySelectorAll('.names span')].map(x => x.getBoundingClientRect())"
        ".map(box => [box.top, box.bottom])"
    )
    assert len(boxes) == 2 and boxes[0][1] <= boxes[1][0]


def test_folded_parts_open_without_a_script(tab, pages):
    tab.open(pages["one"][0], 1280)
    shown = f"[...document.querySelectorAll('details table')].{SEEN}.length"
    assert tab.value(shown) == 0
    tab.value("document.querySelectorAll('summary').forEach(x => x.click())")
    assert tab.value(shown) == 3  # validations, classes, settings
    assert tab.value("document.scripts.length") == 0


def test_print_is_black_on_white_on_a_few_pages(tab, pages):
    path, _ = pages["one"]
    tab.open(path, 1280, dark=True, media="print")
    assert tab.value(LUMINANCE.format("color")) == 0
    assert tab.value(LUMINANCE.format("backgroundColor")) == 3 * 255
    printed = base64.b64decode(
        tab.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]
    )
    count = re.search(rb"/Type\s*/Pages\b.*?/Count (\d+)", printed, re.DOTALL)
    assert 3 <= int(count.group(1)) <= 10


def test_a_page_that_tried_to_run_or_fetch_something_could_not(tab, pages, tmp_path):
    """The policy of the page holds, and this file's eyes see what it stops."""
    text = pages["one"][0].read_text()
    elsewhere = "http://127.0.0.1:9/x"
    bad = f"""<script>document.title = 'ran'</script><img src='{elsewhere}.png'>
      <iframe src='{elsewhere}.html'></iframe><link rel='stylesheet' href='{elsewhere}.css'>"""
    assert "</footer>" in text
    (tmp_path / "bad.html").write_text(text.replace("</footer>", f"</footer>{bad}"))
    tab.open(tmp_path / "bad.html", 1280)
    assert tab.value("document.title") != "ran"
    said = str(tab.complaints())
    for stopped in ("inline script", f"{elsewhere}.png", "Framing", f"{elsewhere}.css"):
        assert stopped in said, said
