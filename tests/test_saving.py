"""Saving and loading: the same classifier comes back, or an error that says what is wrong with the file."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from saved import load, quick, saved, shades
from sklearn.base import clone
from torch import nn

from gencls import (
    AugmentationError,
    Compute,
    Conditioner,
    ConditionerError,
    Flip,
    GenerativeBayesClassifier,
    Hybrid,
    InvalidParameterError,
    Likelihood,
    ModelFileError,
    Modulation,
    RandomCrop,
    Shift,
    Stage,
    list_conditioners,
    per_site,
    register_conditioner,
)
from gencls.augmentations import Augmentation, Composed, register_augmentation
from gencls.augmentations.registry import AUGMENTATIONS
from gencls.conditioners import CONDITIONERS, zero_embedding
from gencls.conditioners.low_rank import LowRank
from gencls.model_files import read_card
from gencls.model_files.snapshot import FITTED, NOT_KEPT
from gencls.objectives import register_objective
from gencls.objectives.registry import OBJECTIVES


@pytest.fixture(scope="module")
def fitted():
    return saved()


@pytest.fixture(scope="module")
def shared_path(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "model"


@pytest.fixture
def mine(fitted):
    """One that a test may alter."""
    return copy.deepcopy(fitted)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def again(clf, path, **options):
    clf.save(path, **options)
    return load(path)


def assert_same(one, other, X):
    """Bit for bit the same predictions and images."""
    np.testing.assert_array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))
    for drawn, redrawn in zip(one.sample(4, random_state=0), other.sample(4, random_state=0), strict=True):
        assert drawn.dtype == redrawn.dtype
        np.testing.assert_array_equal(drawn, redrawn)


# The same classifier


@pytest.mark.parametrize(
    ("shape", "dtype", "parameters"),
    [
        ((9,), np.float64, {}),
        ((6,), np.int64, {"image_shape": (2, 3)}),
        ((3, 2), np.uint8, {}),
        ((2, 3, 3), np.float32, {"pixel_range": (-1.0, 9.5), "n_levels": 7}),
        ((3, 2, 2), np.int16, {"channel_axis": 1, "n_levels": 12}),
        ((1, 1), np.bool_, {}),
    ],
    ids=str,
)
def test_images_of_every_layout(shape, dtype, parameters, path):
    X, y = shades(size=shape)
    X = X.astype(dtype)
    clf = quick(**parameters).fit(X, y)
    assert_same(clf, again(clf, path), X)


@pytest.mark.parametrize("name", list_conditioners())
def test_every_conditioner(name, path):
    X, y = shades(n=12, size=(2, 2))
    clf = quick(name).fit(X, y)
    loaded = again(clf, path)
    assert_same(clf, loaded, X)
    assert loaded.conditioner == name


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-3, 0, 2**60]),
        np.array([0.0, 1.0, 7.0], dtype=np.float32),
        np.array([False, True]),
        np.array(["ant", "Käfer", ""]),
        np.array(["ant", "bee"], dtype=object),
        np.array([0, 255], dtype=np.uint8),
    ],
    ids=repr,
)
def test_classes_of_every_kind(classes, path):
    X, y = shades(n_classes=len(classes))
    clf = quick().fit(X, classes[y])
    loaded = again(clf, path)
    assert loaded.classes_.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(loaded.classes_, clf.classes_)
    assert loaded.score(X, classes[y]) == clf.score(X, classes[y])


def test_what_was_learned_and_the_parameters(path):
    X, y = shades()
    frame = pd.DataFrame(X.reshape(len(X), -1), columns=[f"pixel {i}" for i in range(9)])
    parameters: dict[str, Any] = {
        "priors": (0.2, 0.3, 0.5),
        "pixel_range": (0, 8),
        "early_stopping": "accuracy",
    }
    parameters |= {"views": ["flips"], "dropout": 0.2, "verbose": False, "n_iter_no_change": 3}
    clf = quick(**parameters, validation_fraction=0.25).fit(frame, y, sample_weight=1 + y / 2)
    loaded = again(clf, path)
    for name in FITTED:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(clf, name))
    assert loaded.get_params() == clf.get_params()
    assert loaded.history_ == [row | {"batches": []} for row in clf.history_]
    assert loaded.n_iter_ == clf.n_iter_
    assert loaded.image_shape_ == clf.image_shape_


def test_it_is_cloned_pickled_and_saved_again(fitted, path):
    loaded = again(fitted, path)
    X, y = shades()
    assert_same(fitted, pickle.loads(pickle.dumps(loaded)), X)
    assert_same(clone(fitted).fit(X, y), clone(loaded).fit(X, y), X)
    loaded.save(path.with_name("again"))
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_it_completes_images_alike(fitted, path):
    X, _ = shades()
    completed = fitted.complete(X[:3], 1, random_state=0)
    for one, other in zip(completed, again(fitted, path).complete(X[:3], 1, random_state=0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_precision(fitted, path):
    fitted.save(path)
    whole = path.stat().st_size
    loaded = again(fitted, path, half=True)
    weights = sum(weight.nbytes for weight in fitted.net_.averaged_model.state_dict().values())
    assert whole - path.stat().st_size == pytest.approx(weights / 2, rel=0.1)
    assert {weight.dtype for weight in loaded.net_.averaged_model.parameters()} == {torch.float32}
    expected = fitted.predict_joint_log_proba(shades()[0])
    np.testing.assert_allclose(loaded.predict_joint_log_proba(shades()[0]), expected, rtol=0.01)


def test_parameters_that_a_file_cannot_hold_are_at_their_defaults(path):
    X, y = shades()
    net_params = {"optimizer": torch.optim.SGD, "batch_size": 4}
    clf = quick(random_state=np.random.RandomState(0), net_params=net_params).fit(X, y)
    loaded = again(clf, path)
    assert (loaded.random_state, loaded.net_params) == (None, None)
    assert_same(clf, loaded, X)


def test_a_file_says_nothing_of_a_machine_or_a_run(path, tmp_path):
    X, y = shades()
    machine = {"device": "cpu", "compute": "plain", "checkpoint_dir": tmp_path / "run"}
    clf = quick(net_params={"ema_decay": 0.9}, **machine).fit(X, y)
    loaded, defaults = again(clf, path), GenerativeBayesClassifier()
    assert all(getattr(loaded, name) == getattr(defaults, name) for name in NOT_KEPT)
    assert str(tmp_path).encode() not in path.read_bytes()


def test_the_device_is_chosen_anew(fitted, path):
    fitted.save(path)
    assert load(path, device="cpu").device == "cpu"
    with pytest.raises(InvalidParameterError, match="'device' of GenerativeBayesClassifier must be"):
        load(path, device="abacus")


def test_a_subclass_loads_as_such(fitted, path):
    class Mine(GenerativeBayesClassifier):
        pass

    fitted.save(path)
    assert type(Mine.load(path)) is Mine


def test_the_card(fitted, path):
    card = {"data": "shades", "figures": {"accuracy": 0.5}}
    fitted.save(path, card=card)
    assert read_card(path) == card
    fitted.save(path)
    assert read_card(path) == {}


def test_nobody_elses_random_numbers_are_touched(fitted, path):
    before = torch.get_rng_state()
    again(fitted, path)
    assert torch.get_rng_state().equal(before)


@settings(max_examples=20)
@given(
    card=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
            max_leaves=20,
        ),
    )
)
def test_every_card_comes_back(card, fitted, shared_path):
    fitted.save(shared_path, card=card)
    assert read_card(shared_path) == card


# Images of a different size


def reduced(**parameters):
    X, y = shades(size=(4, 6, 3))
    return quick(**({"resolution": (2, 3)} | parameters)).fit(X, y), X


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"resolution": 2},
        {"resolution": (4, 6)},
        {"views": ["flips", "six-crops"]},
        {"stages": [Stage(1, resolution=2), Stage(1, lr=1e-4, batch_size=8)]},
        {"resolution": None, "stages": [Stage(1), Stage(1, resolution=(3, 2))]},
    ],
    ids=repr,
)
def test_a_model_that_reduces_images(parameters, path):
    clf, X = reduced(**parameters)
    loaded = again(clf, path)
    assert_same(clf, loaded, X)
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert loaded.codec_.tensor_shape_ == clf.codec_.tensor_shape_
    assert loaded.codec_.native_size == (4, 6)
    assert loaded.stages == clf.stages
    assert (loaded.resolution, loaded.views) == (clf.resolution, clf.views)
    assert_same(clone(clf).fit(X, shades()[1]), clone(loaded).fit(X, shades()[1]), X)


@pytest.mark.parametrize("resolution", [(2, 3), None])
def test_a_resized_model(resolution, path):
    clf, X = reduced(resolution=resolution, augmentation=Shift(), stages=[Stage(1, augmentation="flip")])
    other = clf.resized((3, 2))
    loaded = again(other, path)
    assert_same(other, loaded, X if resolution else X[:, :3, :2])
    assert repr(loaded.net_.averaged_model.symmetry) == repr(Composed([Flip()]))


# Objectives, augmentations and stages


class Half(Likelihood):
    """The likelihood, with a factor."""

    def __init__(self, factor=0.5):
        self.factor = factor

    def loss(self, terms):
        return self.factor * terms["nll"]


class Darken(Augmentation):
    def __init__(self, by=1):
        self.by = by

    def per_batch(self, levels, generator=None):
        return levels.clamp(min=self.by) - self.by


class UpsideUp(Flip):
    """A flip under a name of its own."""


@pytest.fixture
def own_plugins(monkeypatch):
    """A plug-in that a test registers is gone after it."""
    for registry in (AUGMENTATIONS, CONDITIONERS, OBJECTIVES):
        monkeypatch.setattr(registry, "_registered", {})


HYBRID = Hybrid(weight=0.1, temperature=2.0, n_contrasted=2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "hybrid"},
        {"objective": HYBRID},
        {"augmentation": "flip"},
        {"augmentation": Shift(2)},
        {"augmentation": [Flip(), RandomCrop(smallest=0.5), "shift"]},
        {"augmentation": []},
        {"stages": [Stage(1, objective="hybrid", augmentation=[]), Stage(1, augmentation=[Flip()])]},
        {"augmentation": Flip(), "stages": [Stage(1), Stage(1, objective=HYBRID, augmentation=Shift())]},
    ],
    ids=repr,
)
def test_how_a_model_was_trained(parameters, path):
    X, y = shades()
    clf = quick(**parameters).fit(X, y)
    loaded = again(clf, path)
    assert_same(clf, loaded, X)
    assert repr(loaded.get_params(deep=False)) == repr(clf.get_params(deep=False))
    assert repr(loaded.net_.averaged_model.symmetry) == repr(clf.net_.averaged_model.symmetry)
    assert_same(clone(clf).fit(X, y), clone(loaded).fit(X, y), X)


def test_classes_become_instances(path):
    X, y = shades()
    parts = Composed([Flip(), Shift()])
    loaded = again(quick(objective=Hybrid, augmentation=parts).fit(X, y), path)
    assert repr((loaded.objective, loaded.augmentation)) == repr((Hybrid(), [Flip(), Shift()]))


@pytest.mark.usefixtures("own_plugins")
def test_plug_ins_by_their_names(path):
    X, y = shades()
    register_objective("half", Half)
    register_augmentation("darken", Darken)
    register_augmentation("upside-up", UpsideUp)
    stages = [Stage(1, objective="half"), Stage(1, augmentation=["upside-up", Darken(2)])]
    loaded = again(quick(objective=Half(0.25), augmentation="darken", stages=stages).fit(X, y), path)
    assert repr((loaded.objective, loaded.augmentation)) == repr((Half(0.25), "darken"))
    assert repr(loaded.stages) == repr(stages)
    assert repr(loaded.net_.averaged_model.symmetry.parts) == repr([UpsideUp()])


TRAINED = {"objective": Half(), "augmentation": [Flip(), Darken()]}
TRAINED |= {
    "stages": [Stage(1, objective=Half, augmentation=Darken), Stage(1, augmentation=[Darken(), "flip"])]
}


def assert_left_out(loaded):
    assert (loaded.objective, [type(each) for each in loaded.augmentation]) == ("auto", [Flip])
    assert repr(loaded.stages) == repr([Stage(1, augmentation=[]), Stage(1, augmentation=["flip"])])


@pytest.mark.usefixtures("own_plugins")
def test_what_only_trains_may_be_without_a_name(path):
    X, y = shades()
    clf = quick(**TRAINED).fit(X, y)
    loaded = again(clf, path)
    assert_left_out(loaded)
    assert_same(clf, loaded, X)
    loaded.set_params(warm_start=True).fit(X, y)


def test_what_only_trained_need_not_be_installed(path, monkeypatch):
    X, y = shades()
    with monkeypatch.context() as patch:
        patch.setattr(OBJECTIVES, "_registered", {"half": Half})
        patch.setattr(AUGMENTATIONS, "_registered", {"darken": Darken})
        clf = quick(**TRAINED).fit(X, y)
        clf.save(path)
        assert repr(load(path).objective) == repr(Half())
    assert_left_out(load(path))
    assert_same(clf, load(path), X)


@pytest.mark.usefixtures("own_plugins")
def test_what_only_trains_may_have_parameters_that_a_file_cannot_hold(path):
    X, y = shades()
    register_augmentation("darken", Darken)
    clf = quick(augmentation=Darken(torch.tensor(1))).fit(X, y)
    loaded = again(clf, path)
    assert loaded.augmentation == []
    assert_same(clf, loaded, X)


def test_a_symmetry_must_have_a_name(path, monkeypatch):
    X, y = shades()
    clf = quick(augmentation=[UpsideUp()]).fit(X, y)
    with pytest.raises(AugmentationError, match=r"UpsideUp has no name .*register_augmentation\("):
        clf.save(path)
    assert not path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(AUGMENTATIONS, "_registered", {"upside-up": UpsideUp})
        clf.save(path)
        assert_same(clf, load(path), X)
    with pytest.raises(AugmentationError, match=f"no augmentation 'upside-up'.* '{__name__}:UpsideUp'"):
        load(path)


# Training goes on


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_goes_on_after_loading(method, fitted, path):
    X, y = shades()
    y = fitted.classes_[y]
    loaded = again(fitted, path).set_params(warm_start=True, lr=0.01)
    before = loaded.bits_per_dim(X, y)
    for _ in range(3):
        getattr(loaded, method)(X, y)
    assert loaded.bits_per_dim(X, y) < before
    assert loaded.n_iter_ == fitted.n_iter_ + 3 * (2 if method == "fit" else 1)
    assert loaded.history_[: fitted.n_iter_] == [row | {"batches": []} for row in fitted.history_]


def test_the_average_remembers_the_steps_before(fitted, path):
    X, y = shades()
    loaded = again(fitted, path).set_params(lr=1e-12)
    steps = int(fitted.net_.averaged_.n_averaged)
    before = fitted.predict_joint_log_proba(X)
    loaded.partial_fit(X, fitted.classes_[y])
    assert int(loaded.net_.averaged_.n_averaged) == steps + 2
    np.testing.assert_allclose(loaded.predict_joint_log_proba(X), before, rtol=1e-6)


def test_weights_are_single_precision_whatever_is_the_default(fitted, path):
    X = shades()[0]
    fitted.save(path)
    expected = fitted.predict_joint_log_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(load(path).predict_joint_log_proba(X), expected)
        again = clone(fitted).fit(X, shades()[1])
    finally:
        torch.set_default_dtype(torch.float32)
    assert {each.dtype for each in again.net_.averaged_model.parameters()} == {torch.float32}
    again.save(path)
    np.testing.assert_array_equal(load(path).predict_joint_log_proba(X), again.predict_joint_log_proba(X))


# Conditioners


class Late(Conditioner):
    def __init__(self, stages=(5,), scale=1.0):
        super().__init__()
        self.stages = stages
        self.scale = scale

    def build(self, n_classes, sites):
        chosen = sites.named("second").in_stages(self.stages)
        self.bias = per_site(chosen, lambda site: zero_embedding(n_classes, site.channels))

    def forward(self, labels):
        return {site: Modulation(shift=self.scale * bias(labels)) for site, bias in self.bias.items()}


class Tied(Late):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        shared = next(iter(self.bias.items()))[1]
        self.bias = per_site(self.bias.sites, lambda site: shared)


class Curious(Late):
    def build(self, n_classes, sites):
        super().build(n_classes, sites)
        self.start = next(self.parameters()).sum().item()


def test_hyper_parameters_of_the_conditioner(path):
    X, y = shades()
    loaded = again(quick(LowRank(rank=3)).fit(X, y), path)
    assert loaded.conditioner.rank == loaded.conditioner_.rank == 3
    assert again(quick(LowRank).fit(X, y), path).conditioner.rank == LowRank().rank
    assert again(quick("low-rank").fit(X, y), path).conditioner == "low-rank"


@pytest.mark.usefixtures("own_conditioners")
@pytest.mark.parametrize("kind", [Late, Tied])
def test_a_conditioner_must_be_registered(kind, path):
    X, y = shades()
    clf = quick(kind((3, 5), scale=2.0)).fit(X, y)
    with pytest.raises(ConditionerError, match=r"has no name in the registry. .*register_conditioner\("):
        clf.save(path)
    assert not path.exists()
    register_conditioner("mine", kind)
    loaded = again(clf, path)
    assert (loaded.conditioner.stages, loaded.conditioner.scale) == ((3, 5), 2.0)
    assert_same(clf, loaded, X)


def test_a_conditioner_that_is_not_there_is_named(path, monkeypatch):
    X, y = shades()
    with monkeypatch.context() as patch:
        patch.setattr(CONDITIONERS, "_registered", {"mine": Late})
        quick("mine").fit(X, y).save(path)
    with pytest.raises(ConditionerError, match=f"no conditioner 'mine'; .* '{__name__}:Late': install"):
        load(path)


@pytest.mark.usefixtures("own_conditioners")
def test_hyper_parameters_that_a_file_cannot_hold(path):
    X, y = shades()
    register_conditioner("mine", Late)
    clf = quick(Late(stages={5})).fit(X, y)
    with pytest.raises(ModelFileError, match="conditioner__stages cannot be saved, as a set cannot be"):
        clf.save(path)


@pytest.mark.usefixtures("own_conditioners")
def test_a_conditioner_that_reads_weights_while_it_is_built(path):
    X, y = shades()
    register_conditioner("curious", Curious)
    with pytest.raises(ModelFileError, match=r"method build must not depend on the values of tensors"):
        quick("curious").fit(X, y).save(path)


# What cannot be saved


def test_classes_that_a_file_cannot_hold(mine, path):
    mine.classes_ = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[D]")
    with pytest.raises(ModelFileError, match=r"classes_ cannot be saved, as values of the dtype datetime64"):
        mine.save(path)


def test_pixels_that_a_file_cannot_hold(mine, path):
    mine.codec_.dtype_ = np.dtype(complex)
    with pytest.raises(ModelFileError, match="Images of the dtype complex128 cannot be saved"):
        mine.save(path)


@pytest.mark.parametrize(
    ("spoil", "half", "message"),
    [
        (lambda model: model.network.head.bias.data.fill_(np.nan), False, "has values that are not finite"),
        (lambda model: model.network.head.bias.data.fill_(1e6), True, "not finite, or beyond ±65,504"),
        (lambda model: model.network.head.bias.data.fill_(1e38), False, "not finite, or beyond ±65,504"),
        (
            lambda model: [each.data.fill_(65_504) for each in model.network.parameters()],
            False,
            "give an image no finite probability",
        ),
        (lambda model: model.double(), False, "has the type torch.float64 and must have torch.float32"),
        (lambda model: setattr(model, "extra", nn.Linear(1, 1)), False, "'extra.bias' is not part of it"),
    ],
)
def test_weights_that_could_not_be_loaded_are_not_saved(spoil, half, message, mine, path):
    spoil(mine.net_.averaged_model)
    with pytest.raises(ModelFileError, match=f"This model cannot be saved.*{message}"):
        mine.save(path, half=half)
    assert not path.exists()


def test_parameters_that_could_not_be_loaded_leave_the_file_as_it_was(mine, path):
    mine.save(path)
    before = path.read_bytes()
    with pytest.raises(InvalidParameterError, match="'early_exit' of Compute"):
        mine.set_params(compute=Compute(early_exit=0)).save(path)
    assert path.read_bytes() == before


def test_parameters_that_changed_since_fit(mine, path):
    mine.set_params(n_filters=8)
    with pytest.raises(InvalidParameterError, match=r"but: n_filters was 4 and is 8\. Set them back"):
        mine.save(path)


@pytest.mark.parametrize("card", [{"figures": object()}, 3, {"a": {1}}])
def test_a_card_that_is_none(card, fitted, path):
    with pytest.raises(InvalidParameterError, match="'card' of save must be a dict that JSON can hold"):
        fitted.save(path, card=card)


def test_every_temperature_of_use_comes_back(mine, path):
    for temperature in (1e-100, 0.01, 1, 10_000, 1e100):
        mine.temperature_ = temperature
        assert again(mine, path).temperature_ == temperature


def test_what_could_not_be_read_is_not_saved(mine, path, monkeypatch):
    mine.save(path)
    before = path.read_bytes()
    mine.classes_ = np.array(["ant", "bee", "c" * 1_001])
    with pytest.raises(ModelFileError, match=r"cannot be saved.* more than 1,000 characters"):
        mine.save(path)
    mine.classes_ = np.array(["ant", "bee", "cat"])
    with pytest.raises(ModelFileError, match=r"cannot be saved.* more than 500,000 values"):
        mine.save(path, card={"figures": [0] * 500_000})
    monkeypatch.setattr("gencls.model_files.container.LARGEST_FILE", 2**25 + 1_000)
    with pytest.raises(ModelFileError, match=r"cannot be saved.* bytes of weights, more than 1,000"):
        mine.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("card", [{"a": "x" * 10_000_000}, 3])
def test_a_card_that_is_too_large_is_not_repeated(card, fitted, path):
    with pytest.raises((ModelFileError, InvalidParameterError)) as caught:
        fitted.save(path, card={"wrong": {3}, "long": card})
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("path", [3, None, b"model", "a\0b", ""])
def test_what_is_no_path(path, fitted):
    for use in (load, read_card, fitted.save):
        with pytest.raises(InvalidParameterError, match="'path' must be a str or path-like"):
            use(path)


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "model")
