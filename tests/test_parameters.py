"""Parameters of the constructor: what they may be, and how they are set."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from small import PLAIN, quick, same_predictions, shades

from gencls import (
    CompilationWarning,
    Compute,
    GenclsError,
    GenerativeBayesClassifier,
    Hybrid,
    InvalidParameterError,
    RandomCrop,
    Shift,
)
from gencls.backends import native


def test_parameters_of_a_component_are_set_even_where_it_is_given_by_name():
    clf = quick(conditioner="low-rank").set_params(conditioner__rank=3, n_layers=2)
    assert (clf.conditioner.rank, clf.n_layers) == (3, 2)
    assert clf.get_params()["conditioner__rank"] == 3
    both = quick().set_params(conditioner="low-rank", conditioner__rank=5)
    assert both.conditioner.rank == 5
    with pytest.raises(ValueError, match=r"Invalid parameter 'size' for estimator LowRank"):
        clf.set_params(conditioner__size=3)


@pytest.mark.parametrize(
    ("part", "given", "name", "value"),
    [
        ("objective", "hybrid", "weight", 0.25),
        ("objective", Hybrid, "weight", 0.25),
        ("objective", Hybrid(), "n_contrasted", 2),
        ("augmentation", "shift", "most", 2),
        ("augmentation", RandomCrop, "smallest", 0.5),
        ("compute", "auto", "compile", False),
        ("compute", "plain", "early_exit", 8.0),
        ("compute", Compute(), "precision", "auto"),
    ],
    ids=str,
)
def test_a_component_has_parameters_of_its_own(part, given, name, value):
    clf = quick(**{part: given}).set_params(**{f"{part}__{name}": value})
    assert getattr(getattr(clf, part), name) == value
    assert clf.get_params()[f"{part}__{name}"] == value
    assert getattr(getattr(clone(clf), part), name) == value
    assert getattr(clf, part) is not getattr(clone(clf), part)


def test_by_name_all_else_stays_as_the_name_says():
    clf = quick(compute="plain").set_params(compute__early_exit=8.0)
    assert clf.compute.compile is False
    assert quick(compute="auto").set_params(compute__early_exit=8.0).compute.compile is True


def test_instances_that_others_hold_are_not_altered_by_a_clone():
    objective = Hybrid(weight=2.0)
    clone(quick(objective=objective)).set_params(objective__weight=0.5)
    assert objective.weight == 2.0


def test_parameters_that_there_are_not():
    for name in ("fast", "fast__rate", "objective__fast", "augmentation__most"):
        with pytest.raises((ValueError, GenclsError)):
            quick().set_params(**{name: 1})


def test_there_are_at_most_29_parameters_and_no_default_is_an_instance():
    defaults = GenerativeBayesClassifier().get_params(deep=False)
    assert len(defaults) <= 29
    for value in defaults.values():
        assert value is None or isinstance(value, str | int | float)


def test_compute_may_change_after_fit():
    X, y = shades()
    clf = quick(compute="plain").fit(X, y)
    plain = clf.predict_joint_log_proba(X)
    clf.set_params(compute="auto")
    np.testing.assert_allclose(clf.predict_joint_log_proba(X), plain, rtol=1e-5)
    clf.set_params(compute=Compute(compile=False, early_exit=math.inf))
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), plain)
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[plain.argmax(1)])


@pytest.mark.parametrize("compute", ["auto", Compute()], ids=["name", "instance"])
def test_without_a_compiler_only_an_instance_warns(compute, monkeypatch):
    """A name says what is wanted where it works; an instance asks for it."""
    monkeypatch.setattr(native, "why_unavailable", lambda: "no compiler")
    X, y = shades(12)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CompilationWarning)
        clf = quick(compute=compute, device="cpu").fit(X, y)
        clf.predict(X)
    assert len(caught) == (compute != "auto")
    assert same_predictions(clf, quick(compute="plain", device="cpu").fit(X, y), X)


SCALARS: dict[str, Any] = PLAIN | {
    "conditioner": np.str_("mild"),
    "n_filters": np.int64(2),
    "n_mixtures": np.int16(1),
    "augmentation": ["flip", Shift(np.uint8(1))],  # type: ignore[arg-type]
    "objective": Hybrid(np.float32(0.5), np.int64(2), np.int8(2)),  # type: ignore[arg-type]
    "resolution": np.int64(2),
    "channel_axis": np.int64(-1),
    "n_levels": np.int64(256),
    "temperature": np.float32(2),
    "max_epochs": np.int8(1),
    "batch_size": np.uint8(3),
    "lr": np.float32(0.01),
    "early_stopping": np.False_,
    "compute": Compute(np.str_("float32"), np.False_, np.False_, np.float32(9)),  # type: ignore[arg-type]
    "device": np.str_("cpu"),
    "verbose": np.False_,
}


@pytest.fixture(scope="module")
def of_scalars():
    """Images, classes, and a classifier whose parameters are scalars of NumPy, as in a search over arrays."""
    X, y = np.arange(64, dtype=np.uint8).reshape(16, 2, 2), np.arange(16) % 2
    return X, y, GenerativeBayesClassifier(**SCALARS).fit(X, y)


def test_parameters_may_be_scalars_of_numpy(of_scalars):
    X, y, clf = of_scalars
    assert clf.predict_proba(X).shape == (16, 2)
    stopping = clone(clf).set_params(early_stopping=np.True_, validation_fraction=0.25).fit(X, y)
    assert "valid_bpd" in stopping.history_[0]


def test_scalars_of_numpy_are_saved(of_scalars, tmp_path):
    X, _, clf = of_scalars
    clf.save(tmp_path / "model")
    again = GenerativeBayesClassifier.load(tmp_path / "model").set_params(compute=clf.compute)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


@pytest.mark.parametrize("name", ["lr", "temperature"])
def test_numbers_beyond_those_of_float64(name):
    with pytest.raises(InvalidParameterError, match=f"{name!r} of GenerativeBayesClassifier must be"):
        quick(**{name: 10**400}).fit(*shades())
    with pytest.raises(InvalidParameterError, match="'weight' of Hybrid must be"):
        quick(objective=Hybrid(weight=10**400)).fit(*shades())


@pytest.mark.parametrize("pixel_range", [(0, math.inf), (-math.inf, 8), (0, 10**400)], ids=["+", "-", "long"])
def test_a_range_that_is_not_finite(pixel_range):
    with pytest.raises(InvalidParameterError, match="'pixel_range' of GenerativeBayesClassifier must be"):
        quick(pixel_range=pixel_range).fit(*shades())


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 99], ids=str)
def test_a_device_that_is_not_there(device):
    words = rf"'device' of GenerativeBayesClassifier .*got '{device}' \(.+\).*'cpu'"
    with pytest.raises(InvalidParameterError, match=words):
        quick(device=device).fit(*shades())


@pytest.mark.parametrize("device", [None, "meta"])
def test_what_is_no_device_to_compute_on(device):
    with pytest.raises(
        InvalidParameterError, match="'device' of GenerativeBayesClassifier must be 'auto' or a"
    ):
        quick(device=device).fit(*shades())
