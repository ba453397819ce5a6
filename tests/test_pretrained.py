"""The models that come with the package: what their cards say is true."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from gencls import InvalidParameterError, list_pretrained, load_pretrained, model_card
from gencls.estimators.pretrained import MODELS
from gencls.model_files.container import FORMAT_VERSION, read_description


def held_out_digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)[1::2]


HELD_OUT = {"digits": held_out_digits}  # images that are there without a download


def test_the_digits_are_there():
    assert "digits" in list_pretrained()


@pytest.mark.parametrize("name", list_pretrained())
def test_a_card_tells_where_a_model_comes_from(name):
    card = model_card(name)
    words = {
        "data",
        "licence",
        "held_out",
        "command",
        "seed",
        "date",
        "torch",
        "gencls",
        "precision",
        "figures",
    }
    assert words <= card.keys()
    assert card["figures"].keys() == {"accuracy", "log_loss", "bits_per_dim"}
    for figure, value in card["figures_in_single_precision"].items():
        assert card["figures"][figure] == pytest.approx(value, abs=0.001)


@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_draws_images(name):
    clf = load_pretrained(name)
    images, labels = clf.sample(len(clf.classes_), y=clf.classes_, random_state=0)
    assert images.std() > 0
    np.testing.assert_array_equal(labels, clf.classes_)
    assert len(clf.history_) == clf.n_iter_ > 0


@pytest.mark.parametrize("name", [name for name in list_pretrained() if name in HELD_OUT])
def test_the_figures_of_a_card_are_reproduced(name):
    X, y = HELD_OUT[name]()
    clf, figures = load_pretrained(name), model_card(name)["figures"]
    probabilities = clf.predict_proba(X)
    accuracy = (clf.classes_[probabilities.argmax(axis=1)] == y).mean()
    assert accuracy == pytest.approx(figures["accuracy"], abs=0.5 / len(y))
    assert log_loss(y, probabilities) == pytest.approx(figures["log_loss"], abs=1e-3)
    assert clf.bits_per_dim(X[:50], y[:50]) == pytest.approx(figures["bits_per_dim"], abs=0.1)


@pytest.mark.parametrize("name", list_pretrained())
def test_a_model_has_the_format_of_today(name):
    assert read_description(MODELS / f"{name}.safetensors")["format_version"] == FORMAT_VERSION


def test_the_models_are_small():
    assert sum(path.stat().st_size for path in MODELS.iterdir()) < 10_000_000


@pytest.mark.parametrize("function", [load_pretrained, model_card])
@pytest.mark.parametrize("name", ["digitz", "../_models/digits", None])
def test_a_model_that_is_not_there(function, name):
    with pytest.raises(
        InvalidParameterError, match=f"'name' of {function.__name__} must be .*'digits'.*, got"
    ):
        function(name)
