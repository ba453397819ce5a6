"""What training minimises: the likelihood, and on demand the cross-entropy of Bayes' posterior."""

from __future__ import annotations

import itertools
import math
import re
import warnings

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit

from gencls import GenerativeBayesClassifier
from gencls.bayes import joint_log_prob, log_marginal, log_posterior
from gencls.objectives import Discrimination, NegativeLogLikelihood

PRIOR = np.array([0.1, 0.2, 0.3, 0.4])
OPTIONS = {
    "n_filters": 4,
    "n_mixtures": 1,
    "dropout": 0.0,
    "batch_size": 8,
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}


def scores(n_images=6, seed=0):
    """Log-likelihoods (N, K), labels and weights; differences of a few nats."""
    rng = np.random.RandomState(seed)
    log_prob = torch.from_numpy(-50 + 3 * rng.randn(n_images, 4))
    return log_prob, torch.arange(n_images) % 4, torch.from_numpy(rng.uniform(0.5, 2, n_images))


def of_candidates(log_prob, candidates):
    return log_prob.T.gather(0, candidates)


def shades(n=36, seed=0, n_classes=3):
    """Grey images of whole numbers from 0 to 8; each class has a shade, with noise."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    X = 2 * y[:, None, None] + rng.randint(5, size=(n, 3, 3))
    X[0].flat[:2] = 0, 8
    return X, y


def quick(**parameters):
    return GenerativeBayesClassifier(**(OPTIONS | parameters))


def same_predictions(one, other, X):
    return np.array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


# The likelihood


def test_the_negative_log_likelihood_is_nats_per_dimension_weighted():
    loss = NegativeLogLikelihood(10)(torch.tensor([-20.0, -40.0]), torch.tensor([0.5, 1.5]))
    assert float(loss) == pytest.approx((0.5 * 20 + 1.5 * 40) / 2 / 10)


# Candidates


@pytest.mark.parametrize("n_contrasted", [None, 4, 9])
def test_every_class_is_a_candidate_once_and_the_own_one_is_first(n_contrasted):
    labels = torch.arange(12) % 4
    candidates = Discrimination(1.0, PRIOR, n_contrasted).candidates(labels)
    assert torch.equal(candidates[0], labels)
    assert torch.equal(candidates.sort(dim=0).values, torch.arange(4)[:, None].expand(4, 12))


def test_other_candidates_are_drawn_for_each_image_all_pairs_alike():
    torch.manual_seed(0)
    candidates = Discrimination(1.0, PRIOR, 3).candidates(torch.full((6000,), 2))
    assert (candidates[0] == 2).all()
    pairs = {
        pair: int(((torch.tensor(pair) == candidates[1:].T).all(1)).sum())
        for pair in itertools.permutations((0, 1, 3), 2)
    }
    assert sum(pairs.values()) == 6000
    assert max(abs(count - 1000) for count in pairs.values()) < 150


# Cross-entropy


@pytest.mark.parametrize("seed", [0, 1])
def test_the_cross_entropy_is_that_of_bayes_theorem(seed):
    log_prob, labels, weights = scores(seed=seed)
    discrimination = Discrimination(0.3, PRIOR)
    candidates = discrimination.candidates(labels)
    found = discrimination.cross_entropy(of_candidates(log_prob, candidates), candidates, weights)
    posterior = log_posterior(joint_log_prob(log_prob.numpy(), PRIOR))
    expected = -(weights.numpy() * posterior[np.arange(6), labels]).mean()
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_with_a_temperature_it_is_the_log_loss_of_calibrated_probabilities(temperature):
    log_prob, labels, weights = scores()
    discrimination = Discrimination(0.3, PRIOR, temperature=temperature)
    candidates = discrimination.candidates(labels)
    found = discrimination.cross_entropy(of_candidates(log_prob, candidates), candidates, weights)
    posterior = log_posterior(joint_log_prob(log_prob.numpy(), PRIOR), temperature)
    assert float(found) == pytest.approx(
        -(weights.numpy() * posterior[np.arange(6), labels]).mean(), rel=1e-12
    )


def test_its_gradient_is_the_posterior_less_the_label():
    log_prob, labels, weights = scores()
    log_prob.requires_grad_()
    discrimination = Discrimination(0.3, PRIOR)
    candidates = discrimination.candidates(labels)
    discrimination.cross_entropy(of_candidates(log_prob, candidates), candidates, weights).backward()
    posterior = np.exp(log_posterior(joint_log_prob(log_prob.detach().numpy(), PRIOR)))
    expected = weights.numpy()[:, None] * (posterior - np.eye(4)[labels]) / 6
    np.testing.assert_allclose(log_prob.grad.numpy(), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("n_contrasted", [2, 3])
def test_drawn_candidates_stand_for_all_others(n_contrasted):
    """Over all draws, the mean marginal is the exact one."""
    log_prob, _, _ = scores(1)
    discrimination = Discrimination(1.0, PRIOR, n_contrasted)
    own = float(joint_log_prob(log_prob.numpy(), PRIOR)[0, 0])
    marginal = []
    for others in itertools.combinations(range(1, 4), n_contrasted - 1):
        candidates = torch.tensor([[0], *([other] for other in others)])
        found = discrimination.cross_entropy(
            of_candidates(log_prob, candidates), candidates, torch.ones(1).double()
        )
        marginal.append(math.exp(float(found) + own))
    exact = math.exp(log_marginal(joint_log_prob(log_prob.numpy(), PRIOR))[0])
    assert np.mean(marginal) == pytest.approx(exact, rel=1e-10)
    assert np.std(marginal) > 0


@pytest.mark.parametrize("n_contrasted", [None, 2])
def test_images_of_a_class_of_prior_0_are_left_out(n_contrasted):
    log_prob, labels, weights = scores()
    log_prob.requires_grad_()
    discrimination = Discrimination(1.0, np.array([0.0, 0.5, 0.0, 0.5]), n_contrasted)
    candidates = discrimination.candidates(labels)
    loss = discrimination.cross_entropy(of_candidates(log_prob, candidates), candidates, weights)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_prob.grad).all()
    assert (log_prob.grad[labels % 2 == 0] == 0).all()
    if n_contrasted is None:
        possible = log_prob.detach().numpy()[[1, 3, 5]]
        posterior = log_posterior(joint_log_prob(possible, discrimination.prior))
        expected = -(weights.numpy()[[1, 3, 5]] * posterior[np.arange(3), [1, 3, 1]]).sum() / 6
        assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_extreme_differences_are_finite():
    log_prob = torch.tensor([[-9000.0], [-100.0]]).double().requires_grad_()
    discrimination = Discrimination(1.0, np.array([0.5, 0.5]))
    loss = discrimination.cross_entropy(log_prob, torch.tensor([[0], [1]]), torch.ones(1).double())
    loss.backward()
    assert loss.item() == pytest.approx(8900)
    assert log_prob.grad[:, 0].tolist() == pytest.approx([-1, 1])


# The model under several classes


@pytest.mark.parametrize("conditioner", ["mild", "early-film", "spatial-film", "low-rank", "unconditional"])
def test_candidates_are_scored_as_they_are_alone(conditioner):
    model = make_model((2, 3, 5), conditioner=conditioner)
    levels, labels = make_levels(model), make_labels(model)
    candidates = torch.stack([labels, (labels + 2) % 3])
    found = model(levels, candidates)
    assert found.shape == (2, 5)
    expected = torch.stack([model(levels, row) for row in candidates])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-10)


def test_an_image_is_mirrored_for_all_its_candidates_or_for_none():
    model = make_model((1, 3, 4), flip=True).train()
    levels, labels = make_levels(model, 12), make_labels(model, 12)
    candidates = torch.stack([labels, (labels + 1) % 3])
    modulations = model.modulate_images(candidates)
    kept, mirrored = (model.log_prob_as_is(each, modulations) for each in (levels, levels.flip(-1)))
    torch.manual_seed(0)
    found = model(levels, candidates)
    as_kept, as_mirrored = (torch.isclose(found, each, rtol=1e-12) for each in (kept, mirrored))
    assert torch.equal(as_kept[0], as_kept[1])
    assert torch.equal(as_kept, ~as_mirrored)
    assert 0 < int(as_kept[0].sum()) < 12


# Training


class Gradients(Callback):
    """Keeps the first step: weights before it, its batch, gradients and loss."""

    def on_grad_computed(self, net, batch=None, **kwargs):
        if not hasattr(self, "gradients_"):
            self.batch_ = batch
            self.weights_ = {name: value.clone() for name, value in net.module_.state_dict().items()}
            self.gradients_ = {name: each.grad.clone() for name, each in net.module_.named_parameters()}

    def on_batch_end(self, net, **kwargs):
        if not hasattr(self, "loss_"):
            self.loss_ = net.history[-1, "batches", -1, "train_loss"]


def test_a_step_minimises_the_formula():
    """The loss and its gradient, from the scores of one class after another in double precision."""
    X, y = shades(20)
    keep = np.arange(20) % 3 != 1  # unequal frequencies
    keep[1] = True
    X, y = X[keep], y[keep]
    weights = np.random.RandomState(0).randint(1, 4, len(y))
    seen = Gradients()
    clf = quick(discriminative_weight=0.3, gradient_clip=None, net_params={"callbacks": [seen]})
    clf.fit(X, y, sample_weight=weights)
    model = clf.net_.module_.double().train()
    model.load_state_dict(seen.weights_)
    model.zero_grad()
    inputs, batch_weights = seen.batch_
    own = torch.arange(len(batch_weights)), inputs["labels"]
    log_prob = torch.stack([model(inputs["levels"], torch.full_like(own[1], c)) for c in range(3)], dim=1)
    log_posterior_ = torch.log_softmax(log_prob + torch.from_numpy(clf.class_prior_).log(), dim=1)
    terms = -log_prob[own] / 9 - 0.3 * log_posterior_[own]
    loss = (terms * batch_weights).mean()
    loss.backward()
    assert len(set(clf.class_prior_)) > 1
    assert batch_weights.unique().numel() > 1
    assert seen.loss_ == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(seen.gradients_[name].double(), parameter.grad, rtol=1e-3, atol=1e-5)


def test_the_history_has_both_parts():
    """At a vanishing learning rate they are what the model says of the training images."""
    X, y = shades()
    options = {"lr": 1e-12, "ema_decay": 0.0, "max_epochs": 2}
    clf = quick(discriminative_weight=0.3, **options).fit(X, y)
    row = clf.history_[-1]
    assert row["train_bpd"] == pytest.approx(clf.bits_per_dim(X, y), rel=1e-5)
    assert row["train_cross_entropy"] == pytest.approx(log_loss(y, clf.predict_proba(X)), rel=1e-4)
    expected = row["train_bpd"] * math.log(2) + 0.3 * row["train_cross_entropy"]
    assert row["train_loss"] == pytest.approx(expected, rel=1e-9)
    assert "train_cross_entropy" not in quick().fit(X, y).history_[-1]


def test_a_weight_of_0_is_maximum_likelihood():
    X, y = shades()
    plain = quick(dropout=0.2, flip=True).fit(X, y)
    clf = quick(dropout=0.2, flip=True, discriminative_weight=0.0, n_contrasted=2).fit(X, y)
    assert same_predictions(clf, plain, X)
    assert clf.net_.discrimination_ is None
    tiny = quick(dropout=0.2, flip=True, discriminative_weight=0.5).fit(X, y)
    assert not same_predictions(tiny, plain, X)


def test_a_sample_weight_is_a_repetition():
    X, y = shades()
    weights = np.random.RandomState(0).randint(1, 4, size=36)
    weighted = quick(discriminative_weight=0.5).fit(X, y, sample_weight=weights)
    repeated = quick(discriminative_weight=0.5).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert same_predictions(weighted, repeated, X)


@pytest.mark.parametrize("n_contrasted", [None, 2, 7])
def test_training_with_drawn_classes_is_reproducible(n_contrasted):
    X, y = shades()
    options = {"discriminative_weight": 0.5, "n_contrasted": n_contrasted, "dropout": 0.2}
    assert same_predictions(quick(**options).fit(X, y), quick(**options).fit(X, y), X)


def test_what_skorch_splits_off_is_scored_by_likelihood_and_posterior():
    X, y = shades()
    clf = quick(discriminative_weight=0.5, net_params={"train_split": ValidSplit(3)}).fit(X, y)
    assert clf.history_[-1]["valid_bpd"] > 0
    assert np.isfinite(clf.history_[-1]["valid_log_loss"])


def subtle(n, seed):
    """Noise; the class says only whether the last pixel is the lighter or the darker half."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = rng.randint(8, size=(n, 3, 3))
    X[:, -1, -1] = 4 * y + rng.randint(4, size=n)
    return X, y


def test_it_tells_classes_apart_that_the_likelihood_hardly_sees():
    X, y = subtle(96, seed=0)
    X_test, y_test = subtle(100, seed=1)
    losses = {}
    for weight in (0.0, 1.0):
        clf = quick(discriminative_weight=weight, max_epochs=4, batch_size=16, lr=5e-3, ema_decay=0.5)
        losses[weight] = log_loss(y_test, clf.fit(X, y).predict_proba(X_test))
    assert losses[1.0] < losses[0.0] - 0.1
    assert losses[1.0] < 0.5


# The estimator


def test_the_temperature_of_the_objective_is_another_training():
    X, y = shades()
    one, other = (quick(discriminative_weight=0.5, discriminative_temperature=t).fit(X, y) for t in (1, 4.0))
    assert not same_predictions(one, other, X)
    assert other.temperature_ == 1.0


def test_a_warm_start_takes_another_weight():
    X, y = shades()
    clf = quick().fit(X, y)
    clf.set_params(discriminative_weight=0.05, n_contrasted=2, warm_start=True, max_epochs=2).fit(X, y)
    clf.set_params(discriminative_weight=0.0).partial_fit(X, y)
    assert ["train_cross_entropy" in row for row in clf.history_] == [False, True, True, False]
    assert all("train_bpd" in row for row in clf.history_)


def test_the_prior_of_a_later_training_counts():
    X, y = shades()
    clf = quick(discriminative_weight=1.0, pixel_range=(0, 8), n_levels=9)
    clf.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    np.testing.assert_array_equal(clf.net_.discrimination_.prior, [0.5, 0.5, 0])
    clf.partial_fit(X, y)
    np.testing.assert_array_equal(clf.net_.discrimination_.prior, clf.class_prior_)
    assert np.isfinite(clf.predict_joint_log_proba(X)).all()


def test_priors_of_0_do_no_harm():
    X, y = shades()
    clf = quick(discriminative_weight=1.0, priors=[0.5, 0, 0.5]).fit(X, y)
    assert np.isfinite(clf.history_[-1]["train_loss"])


def test_it_is_cloned_saved_and_searched(tmp_path):
    X, y = shades()
    clf = quick(discriminative_weight=0.05, n_contrasted=2)
    assert clone(clf).get_params()["discriminative_weight"] == 0.05
    clf.fit(X, y).save(tmp_path / "model.safetensors")
    again = GenerativeBayesClassifier.load(tmp_path / "model.safetensors")
    assert (again.discriminative_weight, again.n_contrasted) == (0.05, 2)
    assert again.history_[-1]["train_cross_entropy"] == clf.history_[-1]["train_cross_entropy"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.set_params(warm_start=True).fit(X, y)
    grid = {"discriminative_weight": [0.0, 0.5]}
    search = GridSearchCV(quick(), grid, scoring="neg_log_loss", cv=2, error_score="raise").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_progress_shows_the_cross_entropy(capsys):
    quick(discriminative_weight=0.05, verbose=1).fit(*shades())
    line = capsys.readouterr().err.strip()
    number = r"-?\d+\.\d+"
    assert re.fullmatch(rf"epoch 1/1: {number} bits/dim, cross-entropy {number} nats \({number} s\)", line)
