"""Random numbers of torch from separate seeds, independent of other threads."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from small import PLAIN
from torch import nn

from gencls import Compute, Flip, GenerativeBayesClassifier, Hybrid, RandomCrop, Shift
from gencls.backends.random_numbers import DrawingFrom, draw_key, new_generator
from gencls.conditioners import Conditioner, Modulation, per_site

DRAWS = {
    "rand": lambda: torch.rand(50),
    "rand of a dtype": lambda: torch.rand(50, dtype=torch.float64),
    "rand_like": lambda: torch.rand_like(torch.zeros(50)),
    "randn": lambda: torch.randn(50),
    "randn into": lambda: torch.randn(50, out=torch.empty(50)),
    "randn_like": lambda: torch.randn_like(torch.zeros(50, dtype=torch.float64)),
    "randint": lambda: torch.randint(100, (50,)),
    "randint from": lambda: torch.randint(50, 100, (50,)),
    "randint_like": lambda: torch.randint_like(torch.zeros(50), 100),
    "randint_like from": lambda: torch.randint_like(torch.zeros(50), 50, 100),
    "randperm": lambda: torch.randperm(50),
    "normal": lambda: torch.normal(torch.zeros(50), torch.ones(50)),
    "bernoulli": lambda: torch.bernoulli(torch.full((50,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(50), 40),
    "normal_": lambda: torch.empty(50).normal_(),
    "random_": lambda: torch.empty(50, dtype=torch.int64).random_(),
    "gamma": lambda: torch.distributions.Gamma(1.0, 1.0).sample((50,)),
    "Linear": lambda: nn.Linear(7, 7).weight.detach(),
    "Embedding": lambda: nn.Embedding(7, 7).weight.detach(),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(7, 7)),
    "truncated normal": lambda: nn.init.trunc_normal_(torch.empty(50)),
    "dropout": lambda: nn.functional.dropout(torch.ones(50)),
    "dropout of GPUs": lambda: torch.native_dropout(torch.ones(50), 0.5, True)[0],
}


@pytest.fixture
def digits():
    """The central 4×4 pixels of a few digits, for many small fits."""
    X, y = load_digits(n_class=3, return_X_y=True)
    return X.reshape(-1, 8, 8)[:40, 2:6, 2:6], y[:40]


def make(**params):
    small: dict[str, Any] = {
        "n_filters": 4,
        "n_mixtures": 1,
        "dropout": 0.2,
        "max_epochs": 2,
        "batch_size": 10,
        "lr": 0.01,
    }
    small |= {"device": "cpu", "compute": "plain", "random_state": 0}
    return GenerativeBayesClassifier(**PLAIN | small | params)


def drawn(seed, draw):
    with DrawingFrom(seed):
        return draw()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_depend_on_the_seed_and_keep_the_global_state_of_torch(draw):
    before = torch.get_rng_state()
    first, again, other = drawn(3, draw), drawn(3, draw), drawn(4, draw)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_have_the_distribution_of_torch():
    with DrawingFrom(0):
        uniform, normal = torch.rand_like(torch.zeros(20000)), torch.randn_like(torch.zeros(20000))
        kept, mask = torch.native_dropout(torch.ones(20000), 0.25, True)
    assert uniform.mean() == pytest.approx(0.5, abs=0.01)
    assert uniform.std() == pytest.approx(12**-0.5, abs=0.01)
    assert normal.mean() == pytest.approx(0, abs=0.03)
    assert normal.std() == pytest.approx(1, abs=0.03)
    assert mask.float().mean() == pytest.approx(0.75, abs=0.01)
    torch.testing.assert_close(kept, mask / 0.75)


def test_a_given_generator_is_used():
    with DrawingFrom(0):
        found = torch.rand(5, generator=new_generator(7))
    assert torch.equal(found, torch.rand(5, generator=new_generator(7)))


def test_nothing_is_drawn_without_memory():
    with DrawingFrom(0) as drawing:
        assert torch.randn(3, device="meta").is_meta
    assert not drawing.generators


def test_other_threads_use_the_global_state():
    torch.manual_seed(0)
    with DrawingFrom(1), ThreadPoolExecutor(1) as thread:
        found = thread.submit(torch.rand, 5).result()
    torch.manual_seed(0)
    assert torch.equal(found, torch.rand(5))


def test_keys_depend_on_the_generator():
    keys = [draw_key(new_generator(seed)) for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]
    assert 0 <= min(keys) <= max(keys) < 2**32


# Everything that training draws: order, dropout, crops, flips, shifts, contrasted classes, initial weights,
# what is held out.
EVERYTHING = {
    "objective": Hybrid(weight=0.1, n_contrasted=2),
    "augmentation": [RandomCrop(smallest=0.7), Flip(), Shift(1)],
    "early_stopping": True,
}


@pytest.mark.parametrize(
    "params",
    [
        {},
        EVERYTHING,
        {"compute": "auto"},
        {"conditioner": "spatial"},
        {"compute": Compute(compile=False, gradient_checkpointing=True), **EVERYTHING},
        {"compute": Compute("bfloat16", compile=False)},
    ],
    ids=lambda params: " ".join(params) or "defaults",
)
def test_concurrent_fits_equal_sequential_fits(digits, params):
    """The global state of torch, from which other threads draw meanwhile, is not used."""
    X, y = digits

    def scores(seed):
        return make(**params, random_state=seed).fit(X, y).predict_joint_log_proba(X[:20])

    expected = [scores(seed) for seed in (0, 1)]
    torch.manual_seed(123)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(scores, (0, 1, 0, 1)))
    np.testing.assert_array_equal(found, expected * 2)
    assert not np.array_equal(expected[0], expected[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_every_method_keeps_the_global_state_of_torch(digits):
    X, y = digits
    before = torch.get_rng_state()
    clf = make(augmentation="flip").partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    clf.set_params(warm_start=True).fit(X, y)
    clf.sample(2, random_state=0)
    clf.complete(X[:2], 2, random_state=0)
    clf.resized(8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_search_is_the_same_for_any_backend_and_nesting(digits, backend):
    X, y = digits
    search = GridSearchCV(make(max_epochs=1), {"n_filters": [2, 3]}, cv=2, n_jobs=2)
    alone = clone(search).set_params(n_jobs=1).fit(X, y).cv_results_["mean_test_score"]
    searches = (delayed(clone(search).fit)(X, y) for _ in range(2))
    for found in Parallel(n_jobs=2, backend=backend)(searches):
        np.testing.assert_array_equal(found.cv_results_["mean_test_score"], alone)


class Dropped(Conditioner):
    """A bias with dropout, random in training."""

    is_random = True

    def build(self, n_classes, sites):
        self.bias = per_site(sites.named("second"), lambda site: nn.Embedding(n_classes, site.channels))

    def forward(self, labels):
        return {
            site: Modulation(shift=nn.functional.dropout(bias(labels), 0.5, self.training))
            for site, bias in self.bias.items()
        }


def test_a_random_conditioner_follows_the_seed(digits):
    X, y = digits
    fits = [make(conditioner=Dropped, random_state=seed).fit(X, y) for seed in (0, 0, 1)]
    scores = [clf.predict_joint_log_proba(X[:9]) for clf in fits]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[1], scores[2])


def test_a_training_that_is_kept_after_each_epoch_ends_as_an_undisturbed_one(digits):
    """The recipe of the page on long trainings."""
    X, y = digits
    kept = pickle.dumps(make(augmentation="flip"))
    undisturbed = make(augmentation="flip")
    for _ in range(3):
        clf = pickle.loads(kept).partial_fit(X, y, classes=[0, 1, 2])
        kept = pickle.dumps(clf)
        undisturbed.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(clf.predict_joint_log_proba(X), undisturbed.predict_joint_log_proba(X))


def test_masks_of_dropout_differ_between_blocks_and_steps(digits, monkeypatch):
    X, y = digits
    keys = []

    def note(generator):
        keys.append(draw_key(generator))
        return keys[-1]

    monkeypatch.setattr("gencls.pixelcnn.blocks.draw_key", note)
    make().fit(X, y)
    assert len(keys) > 50
    assert all(one != two for one, two in pairwise(sorted(keys)))
