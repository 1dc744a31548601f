"""A net of another program with 1000 outputs knows ILSVRC's classes and their words."""

import json

import numpy as np
import pytest

from alexnet_jax.data.sources import ilsvrc2012_words
from alexnet_jax.net import resolving
from alexnet_jax.weights.container import Weights
from alexnet_jax.weights.importing import classes_of


def test_the_words_of_ilsvrc_are_in_the_order_of_the_labels():
    words = ilsvrc2012_words.words()
    assert len(words) == 1000 and list(words) == sorted(words)
    names = list(words.values())
    assert (names[0], names[1]) == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert names[281] == "tabby, tabby cat" and names[999].startswith("toilet tissue")


@pytest.mark.parametrize(
    ("classes", "extra", "first"),
    [
        (1000, {}, "n01440764"),
        (200, {}, None),
        (1000, {"step": "7"}, None),  # an export of a run that did not know them
        (2, {"class_names": json.dumps(["ant", "bee"])}, "ant"),
        (2, {"class_names": json.dumps(["n02123045", "bee"])}, "n02123045"),
    ],
    ids=str,
)
def test_an_imported_net_knows_its_classes(classes, extra, first):
    model = resolving.overrides("caffe")
    model.classes = classes
    arch = resolving.resolve(model)
    info = classes_of(Weights("file", {}, mean=np.zeros(3), extra=extra), arch)
    assert (info.class_names or [None])[0] == first
    if first in ilsvrc2012_words.words():
        assert info.words[0] == ilsvrc2012_words.words()[first]
