"""Which output of a net is which class of other images."""

import pytest

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.errors import DataError
from alexnet_jax.run import class_matching

WNIDS = tuple(ilsvrc2012_words.words())
TEXT_ORDER = tuple(sorted(str(k) for k in range(1000)))  # 0, 1, 10, 100, 101, ...


@pytest.mark.parametrize(
    ("ours", "theirs", "classes", "expected"),
    [
        (("ant", "bee", "cow"), ("ant", "bee", "cow"), 3, (0, 1, 2)),
        (("cow", "ant", "bee"), ("ant", "bee", "cow"), 3, (1, 2, 0)),
        (("cow", "ant", "bee"), ("bee",), 3, (2,)),
        (WNIDS, ("n01498041", "n15075141"), 1000, (6, 999)),  # stingray, toilet tissue
        (None, TEXT_ORDER, 1000, tuple(map(int, TEXT_ORDER))),
        (WNIDS, TEXT_ORDER, 1000, tuple(map(int, TEXT_ORDER))),
        (None, ("1", "10", "2", "3", "4", "5", "6", "7", "8", "9"), 10, (0, 9, *range(1, 9))),
        (None, ("000", "001", "010"), 3, (0, 1, 2)),
        (None, tuple(sorted(WNIDS)), 1000, tuple(range(1000))),
        (("7", "3"), ("3", "7"), 2, (1, 0)),  # names that are known decide
        (("1", "10", "2"), ("01", "02", "10"), 3, (0, 2, 1)),
        (("01", "02", "10"), ("2", "10"), 3, (1, 2)),
        (("1000", "7"), ("0007",), 2, (1,)),
    ],
)
def test_items_2_and_20_names_numbers_or_wnids_decide(ours, theirs, classes, expected):
    assert class_matching.outputs_of(ours, theirs, classes, "net", "images") == expected


def test_numbers_that_are_names_are_said():
    ours, theirs = ("01", "02", "10"), ("2", "10")
    outputs = class_matching.outputs_of(ours, theirs, 3, "net", "images")
    line = class_matching.in_words(ours, theirs, outputs)
    assert line == "2 classes by the numbers that are their names"


@pytest.mark.parametrize(
    ("ours", "theirs", "classes", "said"),
    [
        (None, ("cat", "dog", "emu"), 3, "alphabetical order (0 'cat', 1 'dog', 2 'emu')"),
        (None, ("1", "cat"), 2, "alphabetical order"),
        (None, ("01", "1"), 2, "alphabetical order"),
        (None, ("cat", "dog"), 3, "has 2 classes, the net of net 3, whose names are not known"),
        (None, WNIDS[:200], 1000, "has 200 classes, the net of net 1,000"),
        (None, ("0", "1"), 10, "has 2 classes, the net of net 10"),
        (
            ("ant", "bee"),
            ("ant", "elk"),
            2,
            "of which the net of net does not know 1, the first 'e",
        ),
        (WNIDS, ("0", "1"), 1000, "does not know 2, the first '0'"),
        (("cat", "dog"), ("0", "1"), 2, "does not know 2, the first '0'"),
        (("1", "2"), ("0", "1"), 2, "does not know 1, the first '0'"),
        (("1", "2"), ("01", "1"), 2, "does not know 1, the first '01'"),
    ],
)
def test_items_2_and_20_anything_else_is_refused_with_what_helps(ours, theirs, classes, said):
    with pytest.raises(DataError) as error:
        class_matching.outputs_of(ours, theirs, classes, "net", "images")
    assert said in str(error.value) and "\n" not in str(error.value)
    assert ("--classes=FILE" in str(error.value)) is (ours is None)


@pytest.mark.parametrize("ours", [None, WNIDS])
@pytest.mark.parametrize("form", ["{}", "{:04}"])
def test_item_2_numbers_from_1_to_1000_may_be_the_kits_ids(ours, form):
    theirs = tuple(sorted(form.format(k) for k in range(1, 1001)))
    with pytest.raises(DataError, match="may be the ids of ILSVRC's development kit") as error:
        class_matching.outputs_of(ours, theirs, 1000, "net", "images")
    assert "--classes=FILE" in str(error.value) and "\n" not in str(error.value)
    named = tuple(str(k) for k in range(1000, 0, -1))  # what that file says
    outputs = class_matching.outputs_of(named, theirs, 1000, "net", "images")
    assert outputs == tuple(1000 - int(name) for name in theirs)


@pytest.mark.parametrize(
    "text",
    ["ant\nbee\n", "\ufeffant\r\nbee\r\n", "ant\nbee", "ant\n\nbee\n\n", " ant \nbee\tbee\n"],
)
def test_a_file_of_names_as_editors_write_it(tmp_path, text):
    (tmp_path / "names.txt").write_bytes(text.encode())
    names, words = class_matching.read(str(tmp_path / "names.txt"), 2)
    assert names == words == ("ant", "bee")


def test_a_file_of_wnids_has_ilsvrcs_words(tmp_path):
    (tmp_path / "names.txt").write_text("n01440764\nn01498041\tray, a fish\n")
    names, words = class_matching.read(str(tmp_path / "names.txt"), 2)
    assert names == ("n01440764", "n01498041") and words == ("tench, Tinca tinca", "ray, a fish")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ant\n", "has 1 names, the net 2 classes"),
        (b"ant\nant\n", "has 'ant' more than once"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        class_matching.read(str(tmp_path / "names.txt"), 2)
