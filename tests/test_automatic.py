"""What "auto" stands for, and that a classifier with the defaults has the properties of any other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits
from small import photographs, same_predictions, shades

from gencls import (
    Flip,
    GenerativeBayesClassifier,
    Hybrid,
    InvalidParameterError,
    Likelihood,
    RandomCrop,
    Stage,
)
from gencls.bayes import fit_temperature
from gencls.estimators import _automatic as automatic
from gencls.estimators import _fitting as fitting
from gencls.estimators._automatic import augmentations_of, batch_size_of, epochs_of, resolution_of, stages_of
from gencls.training.data import hold_out

SIDES = st.integers(1, 600)
ARROWS = {"left": np.tri(8), "right": np.tri(8)[:, ::-1], "top": np.eye(8)[:, :1] + np.zeros(8)}


def default(**parameters):
    """A small classifier with the default conditioner, stages, temperature and views."""
    small: dict[str, Any] = {"n_filters": 2, "n_mixtures": 1, "dropout": 0.0, "max_epochs": 3}
    return GenerativeBayesClassifier(**(small | {"device": "cpu", "random_state": 0} | parameters))


def drawn(*shapes, n=40, seed=0):
    """Levels (N, 1, H, W) of noisy shapes in random places of classes, and labels."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(len(shapes), size=n * len(shapes))
    noisy = 120 * np.stack(shapes)[labels] + rng.randint(60, size=(len(labels), *shapes[0].shape))
    return noisy.astype(np.uint8)[:, None], labels


def names(augmentations):
    return [type(each) for each in augmentations]


def augmentations(levels, labels, *, is_reduced=False):
    return names(augmentations_of(levels, labels, is_reduced=is_reduced))


@pytest.fixture(scope="module")
def reduced():
    """Images of 16×16 in colour, in which flips keep the class, their classes, and a classifier of them."""
    X, y = photographs(24, 2, size=(16, 16))
    return X, y, default().fit(X, y)


# Resolution


@given(st.integers(1, 4), SIDES, SIDES)
def test_images_are_never_enlarged_and_keep_their_form(channels, height, width):
    rows, columns = resolution_of(channels, height, width)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    if (rows, columns) == (height, width):
        return
    assert rows % 2 == columns % 2 == 0
    if min(rows, columns) > 4:  # sides are not shorter
        assert rows / columns == pytest.approx(height / width, rel=0.5)
        assert 100 < channels * rows * columns < 400


@given(SIDES, SIDES)
def test_small_images_stay_as_they_are(height, width):
    assert resolution_of(1, 1, width) == (1, width)
    assert resolution_of(3, height, 1) == (height, 1)
    if height * width <= 400:
        assert resolution_of(1, height, width) == (height, width)
    if 3 * height * width <= 400:
        assert resolution_of(3, height, width) == (height, width)


def test_images_of_common_sizes():
    assert resolution_of(1, 8, 8) == (8, 8)
    assert resolution_of(1, 28, 28) == (14, 14)
    assert resolution_of(3, 32, 32) == resolution_of(3, 224, 224) == (8, 8)
    assert resolution_of(3, 480, 640) == (8, 10)


# Epochs and stages


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from([1, 3]))
def test_more_images_have_fewer_epochs_and_more_steps(n, m, channels):
    few, many = sorted((n, m))
    assert 3 <= epochs_of(many, channels) <= epochs_of(few, channels) <= 80
    # The number of epochs is rounded, so that that of steps increases up to half an epoch.
    assert many * (epochs_of(many, channels) + 0.5) >= few * (epochs_of(few, channels) - 0.5)


@pytest.mark.parametrize("n", [500, 1_000, 3_000])
def test_the_time_grows_more_slowly_than_the_number_of_images(n):
    grown = 4 * n * epochs_of(4 * n, 3) / (n * epochs_of(n, 3))
    assert grown == pytest.approx(2, rel=0.2)


def test_colour_images_have_more_epochs_and_few_images_smaller_batches():
    assert epochs_of(3000, 1) < epochs_of(3000, 3)
    assert batch_size_of(3000) < batch_size_of(30_000)


@given(st.integers(1, 200), st.integers(1, 4000))
def test_the_stages_share_the_epochs(n_epochs, n_values):
    first, *rest = stages_of(n_epochs, 0.01, n_values)
    assert first.epochs + sum(stage.epochs for stage in rest) == n_epochs
    assert isinstance(first.objective, Likelihood)
    assert first.lr == 0.01
    for stage in rest:
        assert isinstance(stage.objective, Hybrid)
        assert 4 <= stage.objective.temperature <= max(4, n_values / 96)
        assert 1 <= stage.epochs <= first.epochs
        assert stage.lr is not None
        assert stage.lr < 0.01
    assert len(rest) == (n_epochs > 1)


# Augmentation


def test_flips_of_symmetric_classes():
    levels, labels = drawn(*(np.eye(8)[[row]].T + np.zeros(8) for row in (1, 4, 6)))
    assert augmentations(levels, labels) == [Flip]
    assert augmentations(levels, labels, is_reduced=True) == [Flip, RandomCrop]


def test_flips_of_digits_have_no_class():
    X, y = load_digits(return_X_y=True)
    assert augmentations(X.reshape(-1, 1, 8, 8).astype(np.uint8), y) == []


@pytest.mark.parametrize("n_others", [0, 3, 6])
def test_flips_may_exchange_two_of_several_classes(n_others):
    others = [np.eye(8)[[row]].T + np.zeros(8) for row in range(1, 1 + n_others)]
    assert augmentations(*drawn(ARROWS["left"], ARROWS["right"], *others)) == []
    if others[1:]:  # without the arrows
        assert augmentations(*drawn(*others)) == [Flip]


@pytest.mark.parametrize("n_images", [2, 3, 4, 6, 8, 10])
def test_few_images_have_no_symmetry(n_images):
    rng = np.random.RandomState(0)
    levels = rng.randint(256, size=(n_images, 1, 8, 8)).astype(np.uint8)
    for n_classes in (2, 3, n_images - 1):
        assert augmentations(levels, np.arange(n_images) % n_classes) == []


def test_nothing_is_learned_from_one_class():
    levels, labels = drawn(ARROWS["top"], ARROWS["left"])
    assert augmentations(levels, np.zeros_like(labels)) == []
    labels[:] = 0
    labels[np.random.RandomState(0).permutation(len(labels))[-1]] = 1  # in the half that is classified
    assert augmentations(levels, labels) == []


def test_noise_and_constant_images_have_no_symmetry():
    noise = np.random.RandomState(0).randint(256, size=(100, 3, 8, 8)).astype(np.uint8)
    labels = np.arange(100) % 3
    assert augmentations(noise, labels) == []
    assert augmentations(np.zeros_like(noise), labels) == []


def test_narrow_images_are_not_flipped():
    levels, labels = drawn(np.zeros((8, 7)), np.ones((8, 7)))
    assert augmentations(levels, labels) == []
    assert augmentations(levels, labels, is_reduced=True) == [RandomCrop]


def test_crops_are_of_reduced_images(reduced):
    X, y, clf = reduced
    assert clf.codec_.tensor_shape_ == (3, 8, 8)
    assert names(clf.stages_[-1].augmentation) == [Flip, RandomCrop]
    small = default(max_epochs=1).fit(X[:, ::2, ::2], y)
    assert names(small.stages_[-1].augmentation) == [Flip]


# Stages


def test_the_stages_are_complete_and_those_that_were_trained(reduced, plans):
    X, y, clf = reduced
    again = clone(clf).fit(X, y)
    assert [repr(stage.as_stage()) for stage in plans[-1].stages] == list(map(repr, again.stages_))
    assert [stage.epochs for stage in again.stages_] == [2, 1]
    assert [names([stage.objective]) for stage in again.stages_] == [[Likelihood], [Hybrid]]
    for stage in again.stages_:
        assert [name for name, value in vars(stage).items() if value is None] == ["n_images"]
    assert clf.n_iter_ == 3
    assert same_predictions(clf, again, X)


def test_the_stages_train_the_same_again(reduced):
    X, y, clf = reduced
    explicit = clone(clf).set_params(stages=clf.stages_, max_epochs=99).fit(X, y)
    assert same_predictions(clf, explicit, X)
    assert explicit.temperature_ == clf.temperature_
    assert explicit.n_iter_ == 3
    assert repr(explicit.stages_) == repr(clf.stages_)


def test_no_parameter_changes_in_fit(reduced):
    *_, clf = reduced
    automatic = [name for name, value in clf.get_params(deep=False).items() if value == "auto"]
    assert {"augmentation", "objective", "resolution", "temperature", "views"} <= set(automatic)
    assert clf.get_params() == default().get_params()


def test_the_epochs_depend_on_the_number_of_images(monkeypatch):
    monkeypatch.setattr(fitting, "epochs_of", lambda n_images, channels: n_images // 10)
    X, y = shades(48)
    assert default(max_epochs="auto").fit(X, y).n_iter_ == 4
    # Images that are held out, or the same again, are not counted.
    held_out = default(max_epochs="auto", validation_fraction=0.5).fit(X, y)
    assert held_out.n_iter_ == 2
    assert default(max_epochs="auto").fit(np.tile(X, (2, 1, 1)), np.tile(y, 2)).n_iter_ == 4


@pytest.mark.parametrize("objective", ["auto", "likelihood"])
def test_an_epoch_has_a_limited_number_of_images(objective, monkeypatch):
    monkeypatch.setattr(automatic, "MOST_IMAGES", 20)
    monkeypatch.setattr(fitting, "epochs_of", lambda n_images, channels: 3)
    X, y = shades(60)
    clf = default(max_epochs="auto", objective=objective, batch_size=4).fit(X, y)
    assert {stage.n_images for stage in clf.stages_} == {20}
    assert int(clf.net_.averaged_.n_averaged) == 3 * 20 / 4
    again = clone(clf).set_params(stages=clf.stages_).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X[:3]), clf.predict_proba(X[:3]))
    given = default(max_epochs=1, objective=objective).fit(X, y)
    assert {stage.n_images for stage in given.stages_} == {None}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"objective": "likelihood"}, {"objectives": [Likelihood]}),
        ({"objective": "hybrid"}, {"objectives": [Hybrid]}),
        ({"augmentation": None}, {"augmentations": []}),
        ({"augmentation": "flip"}, {"augmentations": [Flip]}),
        ({"augmentation": []}, {"augmentations": []}),
        ({"resolution": None}, {"size": (16, 16), "augmentations": [Flip]}),
        ({"resolution": (4, 6)}, {"size": (4, 6), "augmentations": [RandomCrop]}),
        ({"max_epochs": 1}, {"epochs": [1], "objectives": [Likelihood]}),
        ({"lr": 1e-3}, {"rates": [1e-3, 1e-3 / 3]}),
        ({"net_params": {"lr": 2e-3, "max_epochs": 6}}, {"rates": [2e-3, 2e-3 / 3], "epochs": [4, 2]}),
        ({"batch_size": 7}, {"batch_sizes": [7, 7]}),
        ({"temperature": 2.5}, {"temperature": 2.5}),
        ({"views": None}, {"views": []}),
        ({"views": "flips"}, {"views": ["flips"]}),
        ({"augmentation": None, "views": "auto"}, {"views": []}),
        ({"augmentation": "flip", "views": "auto"}, {"views": ["flips"]}),
        (
            {"stages": [Stage(1), Stage(1, augmentation=[], resolution=6, objective="hybrid")]},
            {"objectives": [Likelihood, Hybrid], "augmentations": [], "size": (6, 6), "rates": [3e-3, 3e-3]},
        ),
    ],
    ids=str,
)
def test_given_parameters_win(parameters, expected, reduced):
    X, y, _ = reduced
    clf = default(**parameters).fit(X, y)
    last = clf.stages_[-1]
    found = {
        "objectives": [type(stage.objective) for stage in clf.stages_],
        "augmentations": names(last.augmentation),
        "size": clf.codec_.tensor_shape_[1:],
        "epochs": [stage.epochs for stage in clf.stages_],
        "rates": [stage.lr for stage in clf.stages_],
        "batch_sizes": [stage.batch_size for stage in clf.stages_],
        "temperature": clf.temperature_,
        "views": clf._views,
    }
    assert {name: found[name] for name in expected} == expected
    assert last.resolution == found["size"]
    assert sum(found["epochs"]) == clf.n_iter_


# Temperature and views


def test_few_images_have_the_temperature_of_the_hybrid_objective(reduced):
    X, y, clf = reduced
    assert clf.temperature_ == clf.stages_[-1].objective.temperature == 4
    assert default(max_epochs=1).fit(X, y).temperature_ == 1


@pytest.mark.parametrize("augmentation", [None, "random-crop"])
def test_the_temperature_is_learned_on_the_views_of_held_out_images(augmentation, monkeypatch):
    X, y = photographs(60, 2, size=(16, 16))
    parts: list[Any] = []

    def watched(*args):
        parts.extend(hold_out(*args))
        return parts

    monkeypatch.setattr(fitting, "hold_out", watched)
    clf = default(validation_fraction=0.4, augmentation=augmentation).fit(X, y)
    _, held_out = parts
    assert len(held_out.labels) == 24
    assert "valid_bpd" not in clf.history_[-1]
    if augmentation is None:
        levels = clf.codec_.encode(X)
        images = X[[np.flatnonzero((levels == each).all((1, 2, 3)))[0] for each in held_out.levels]]
        table = clf.predict_joint_log_proba(images)
    else:
        images = held_out.images.astype(np.uint8)
        table = clf.set_params(temperature=1.0)._decision_table(images)
    expected = clf.stages_[-1].objective.temperature
    assert clf.temperature_ == fit_temperature(table, held_out.labels, expected=expected)
    given_apart = default(augmentation=augmentation).fit(X, y, X_val=X[:20], y_val=y[:20])
    assert "valid_bpd" in given_apart.history_[-1]
    table = given_apart._decision_table(X[:20])
    assert given_apart.temperature_ == fit_temperature(table, y[:20], expected=expected)


def test_views_are_those_of_the_augmentations_in_training(reduced):
    X, _, clf = reduced
    both, none = (clone_of(clf).set_params(views=views) for views in (["flips", "six-crops"], None))
    np.testing.assert_array_equal(clf.predict_proba(X[:4]), both.predict_proba(X[:4]))
    assert not np.array_equal(clf.predict_proba(X[:4]), none.predict_proba(X[:4]))
    assert same_predictions(clf, none, X[:4])  # densities are of the images themselves


def clone_of(clf):
    """A classifier with the same fitted attributes."""
    other = clone(clf)
    other.__dict__.update({name: value for name, value in vars(clf).items() if name.endswith("_")})
    return other


# What holds for every classifier


def test_a_weight_of_2_is_an_image_given_twice():
    X, y = photographs(20, 2, size=(16, 16))
    weights = np.where(np.arange(20) % 3, 1, 2)
    weighted = default().fit(X, y, sample_weight=weights)
    repeated = default().fit(X.repeat(weights, axis=0), y.repeat(weights))
    assert same_predictions(weighted, repeated, X)
    assert repr(weighted.stages_) == repr(repeated.stages_)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_training_continues_with_the_symmetry_of_the_first_images(first, reduced, plans):
    X, y, _ = reduced
    clf = default(warm_start=True, max_epochs=2)
    clf = clf.fit(X, y) if first == "fit" else clf.partial_fit(X, y, classes=[0, 1])
    noise = np.random.RandomState(0).randint(256, size=X.shape).astype(np.uint8)
    for train in (clf.partial_fit, clf.fit):
        train(noise, y)
        assert names(plans[-1].stages[-1].augmentation.parts) == [Flip, RandomCrop]
        assert names(clf.net_.module_.symmetry.parts) == [Flip]


def test_a_further_epoch_is_one_of_the_last_stage(plans, tmp_path):
    X, y = photographs(20, 2)
    clf = default(max_epochs=3).fit(X, y)
    before = repr(clf.stages_)
    clf.set_params(lr=6e-3).partial_fit(X, y)
    (stage,) = plans[-1].stages
    assert isinstance(stage.objective, Hybrid)
    assert stage.lr == 2e-3
    assert clf.n_iter_ == 4
    assert repr(clf.stages_) == before
    clf.save(tmp_path / "model")
    loaded = GenerativeBayesClassifier.load(tmp_path / "model")
    assert loaded.max_epochs == 3
    assert repr(loaded.stages) == before


def test_a_resolution_that_is_set_after_training_is_refused(reduced):
    X, y, clf = reduced
    changed = clone_of(clf).set_params(resolution=6, warm_start=True)
    with pytest.raises(InvalidParameterError, match=r"resolution was \(8, 8\) and is \(6, 6\)"):
        changed.fit(X, y)
    with pytest.raises(InvalidParameterError, match="symmetry"):
        clone_of(clf).set_params(augmentation=None).partial_fit(X, y)


def test_a_file_holds_what_auto_stood_for(reduced, plans, tmp_path):
    X, y, clf = reduced
    clf.save(tmp_path / "first")
    loaded = GenerativeBayesClassifier.load(tmp_path / "first", device="cpu")
    assert same_predictions(clf, loaded, X[:4])
    np.testing.assert_array_equal(clf.predict_proba(X[:4]), loaded.predict_proba(X[:4]))
    found = loaded.get_params(deep=False)
    assert "auto" not in [found[name] for name in ("resolution", "max_epochs", "views", "conditioner")]
    assert (loaded.resolution, loaded.views, loaded.max_epochs) == ((8, 8), ["flips", "six-crops"], 3)
    assert repr(loaded.stages) == repr(clf.stages_)
    assert isinstance(loaded.objective, Hybrid)
    loaded.save(tmp_path / "second")
    again = GenerativeBayesClassifier.load(tmp_path / "second", device="cpu")
    np.testing.assert_array_equal(again.predict_proba(X[:4]), clf.predict_proba(X[:4]))
    again.partial_fit(X, y)
    assert repr(plans[-1].stages[-1].objective) == repr(clf.stages_[-1].objective)


def test_a_file_without_automatic_settings(tmp_path):
    X, y = photographs(20, 2)
    clf = default(augmentation=None, resolution=None, views=None, max_epochs=1, temperature=1.0).fit(X, y)
    clf.save(tmp_path / "model")
    loaded = GenerativeBayesClassifier.load(tmp_path / "model", device="cpu")
    assert (loaded.augmentation, loaded.resolution, loaded.views) == (None, None, None)
    np.testing.assert_array_equal(clf.predict_proba(X[:4]), loaded.predict_proba(X[:4]))


def test_resized(reduced, plans, tmp_path):
    X, y, clf = reduced
    larger = clf.resized(10)
    assert (larger.resolution, larger.temperature_) == ((10, 10), clf.temperature_)
    assert larger.predict_proba(X[:4]).shape == (4, 2)
    assert {stage.resolution for stage in larger.stages_} == {(10, 10)}
    assert larger._views == ["flips", "six-crops"]
    larger.save(tmp_path / "model")
    loaded = GenerativeBayesClassifier.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(larger.predict_proba(X[:4]), loaded.predict_proba(X[:4]))
    larger.partial_fit(X, y)
    assert names([plans[-1].stages[-1].objective]) == [Hybrid]
    same = larger.resized(8)
    np.testing.assert_allclose(clf.resized(8).predict_proba(X[:4]), clf.predict_proba(X[:4]))
    assert same.codec_.tensor_shape_ == (3, 8, 8)
    small = default(max_epochs=1).fit(X[:, ::2, ::2], y).resized(10)  # images that were not reduced
    assert small.resolution is None
    assert small.predict_proba(X[:4, :10, :10]).shape == (4, 2)
