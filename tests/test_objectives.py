"""What training minimises: the likelihood, or with it the cross-entropy of Bayes' posterior."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from small import PLAIN

from gencls import GenerativeBayesClassifier, InvalidParameterError, ObjectiveError, Stage
from gencls.bayes import joint_log_prob, log_marginal, log_posterior
from gencls.objectives import (
    Hybrid,
    Likelihood,
    Scores,
    get_objective,
    list_objectives,
    make_objective,
    register_objective,
)

PRIOR = np.array([0.1, 0.2, 0.3, 0.4])
OPTIONS: dict[str, Any] = {
    "n_filters": 4,
    "n_mixtures": 1,
    "dropout": 0.0,
    "batch_size": 8,
    "max_epochs": 1,
    "compute": "plain",
    "device": "cpu",
    "random_state": 0,
}


def log_likelihoods(n_images=6, seed=0):
    """Log-likelihoods (N, K), labels and weights; differences of a few nats."""
    rng = np.random.RandomState(seed)
    log_prob = torch.from_numpy(-50 + 3 * rng.randn(n_images, 4))
    return log_prob, torch.arange(n_images) % 4, torch.from_numpy(rng.uniform(0.5, 2, n_images))


def scores_of(log_prob, candidates, weights, prior=PRIOR):
    """The scores of images with log-likelihoods (N, K)."""
    return Scores(log_prob.T.gather(0, candidates), candidates, weights, prior, n_dimensions=10)


def cross_entropy(objective, log_prob, labels, weights, prior=PRIOR):
    candidates = objective.candidates(labels, 4)
    return objective.terms(scores_of(log_prob, candidates, weights, prior))["cross_entropy"]


def shades(n=36, seed=0, n_classes=3):
    """Grey images of whole numbers from 0 to 8; each class has a shade, with noise."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    X = 2 * y[:, None, None] + rng.randint(5, size=(n, 3, 3))
    X[0].flat[:2] = 0, 8
    return X, y


def quick(**parameters):
    return GenerativeBayesClassifier(**(PLAIN | OPTIONS | parameters))


def same_predictions(one, other, X):
    return np.array_equal(one.predict_joint_log_proba(X), other.predict_joint_log_proba(X))


# The likelihood


def test_the_negative_log_likelihood_is_in_nats_per_dimension_and_weighted():
    log_prob, labels = torch.tensor([[-20.0, -40.0]]).double(), torch.tensor([0, 1])
    scores = Scores(log_prob, labels[None], torch.tensor([0.5, 1.5]), PRIOR, 10)
    objective = Likelihood()
    terms = objective.terms(scores)
    assert terms.keys() == {"nll"}
    assert float(terms["nll"]) == pytest.approx((0.5 * 20 + 1.5 * 40) / 2 / 10)
    assert objective.loss(terms) is terms["nll"]


def test_only_the_own_class_is_a_candidate_unless_it_is_overridden():
    labels = torch.arange(5) % 3
    assert torch.equal(Likelihood().candidates(labels, 3), labels[None])


# Candidates


@pytest.mark.parametrize("n_contrasted", [None, 4, 9])
def test_every_class_is_a_candidate_once_and_the_own_class_is_first(n_contrasted):
    labels = torch.arange(12) % 4
    candidates = Hybrid(n_contrasted=n_contrasted).candidates(labels, 4)
    assert torch.equal(candidates[0], labels)
    assert torch.equal(candidates.sort(dim=0).values, torch.arange(4)[:, None].expand(4, 12))


def test_candidates_are_drawn_for_each_image_and_all_pairs_are_equally_frequent():
    generator = torch.Generator().manual_seed(0)
    candidates = Hybrid(n_contrasted=3).candidates(torch.full((6000,), 2), 4, generator)
    assert (candidates[0] == 2).all()
    pairs = {
        pair: int(((torch.tensor(pair) == candidates[1:].T).all(1)).sum())
        for pair in itertools.permutations((0, 1, 3), 2)
    }
    assert sum(pairs.values()) == 6000
    assert max(abs(count - 1000) for count in pairs.values()) < 150


# Cross-entropy


@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_cross_entropy_is_the_log_loss_of_calibrated_probabilities(temperature, seed):
    log_prob, labels, weights = log_likelihoods(seed=seed)
    found = cross_entropy(Hybrid(temperature=temperature), log_prob, labels, weights)
    posterior = log_posterior(joint_log_prob(log_prob.numpy(), PRIOR), temperature)
    expected = -(weights.numpy() * posterior[np.arange(6), labels]).mean()
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_the_loss_is_the_weighted_sum():
    log_prob, labels, weights = log_likelihoods()
    objective = Hybrid(weight=0.3, temperature=1.0)
    terms = objective.terms(scores_of(log_prob, objective.candidates(labels, 4), weights))
    assert float(terms["nll"]) == pytest.approx(
        -(weights * log_prob[torch.arange(6), labels]).mean().item() / 10
    )
    assert float(objective.loss(terms)) == float(terms["nll"] + 0.3 * terms["cross_entropy"])


def test_its_gradient_is_the_posterior_less_the_label():
    log_prob, labels, weights = log_likelihoods()
    log_prob.requires_grad_()
    cross_entropy(Hybrid(temperature=1.0), log_prob, labels, weights).backward()
    posterior = np.exp(log_posterior(joint_log_prob(log_prob.detach().numpy(), PRIOR)))
    expected = weights.numpy()[:, None] * (posterior - np.eye(4)[labels]) / 6
    np.testing.assert_allclose(log_prob.grad.numpy(), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("n_contrasted", [2, 3])
def test_drawn_candidates_represent_all_other_classes(n_contrasted):
    """Over all draws, the mean marginal is the exact one."""
    log_prob, _, _ = log_likelihoods(1)
    objective = Hybrid(temperature=1.0, n_contrasted=n_contrasted)
    own = float(joint_log_prob(log_prob.numpy(), PRIOR)[0, 0])
    marginal = []
    for others in itertools.combinations(range(1, 4), n_contrasted - 1):
        candidates = torch.tensor([[0], *([other] for other in others)])
        terms = objective.terms(scores_of(log_prob, candidates, torch.ones(1).double()))
        marginal.append(math.exp(float(terms["cross_entropy"]) + own))
    exact = math.exp(log_marginal(joint_log_prob(log_prob.numpy(), PRIOR))[0])
    assert np.mean(marginal) == pytest.approx(exact, rel=1e-10)
    assert np.std(marginal) > 0


@pytest.mark.parametrize("n_contrasted", [None, 2])
def test_images_of_a_class_with_the_prior_0_are_left_out(n_contrasted):
    log_prob, labels, weights = log_likelihoods()
    log_prob.requires_grad_()
    objective, prior = Hybrid(temperature=1.0, n_contrasted=n_contrasted), np.array([0.0, 0.5, 0.0, 0.5])
    loss = cross_entropy(objective, log_prob, labels, weights, prior)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_prob.grad).all()
    assert (log_prob.grad[labels % 2 == 0] == 0).all()
    if n_contrasted is None:
        possible = log_prob.detach().numpy()[[1, 3, 5]]
        posterior = log_posterior(joint_log_prob(possible, prior))
        expected = -(weights.numpy()[[1, 3, 5]] * posterior[np.arange(3), [1, 3, 1]]).sum() / 6
        assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_extreme_differences_are_finite():
    log_prob = torch.tensor([[-9000.0], [-100.0]]).double().requires_grad_()
    scores = Scores(log_prob, torch.tensor([[0], [1]]), torch.ones(1).double(), np.array([0.5, 0.5]), 10)
    loss = Hybrid(temperature=1.0).terms(scores)["cross_entropy"]
    loss.backward()
    assert loss.item() == pytest.approx(8900)
    assert log_prob.grad is not None
    assert log_prob.grad[:, 0].tolist() == pytest.approx([-1, 1])


# Names and parameters


def test_the_built_in_names():
    assert {"likelihood", "hybrid"} <= set(list_objectives())
    assert get_objective("hybrid") is Hybrid
    with pytest.raises(ObjectiveError, match="'hybrid'"):
        get_objective("hybird")


@pytest.mark.usefixtures("own_plugins")
def test_an_objective_is_registered_by_name():
    class Squared(Likelihood):
        def loss(self, terms):
            return terms["nll"] ** 2

    register_objective("squared", Squared)
    assert type(make_objective("squared")) is Squared
    with pytest.raises(ObjectiveError, match="'hybrid'"):
        register_objective("hybrid", Squared)


@pytest.mark.parametrize("given", ["hybrid", Hybrid, Hybrid(weight=0.5)], ids=str)
def test_names_classes_and_instances_become_new_instances(given):
    made = make_objective(given)
    assert isinstance(made, Hybrid)
    assert made is not given
    assert made.weight == getattr(given, "weight", 1.0) or not isinstance(given, Hybrid)


@pytest.mark.parametrize("given", [3, None, int, "flip"], ids=str)
def test_other_values_are_refused(given):
    for use in (make_objective, lambda given: quick(objective=given).fit(*shades())):
        with pytest.raises(ObjectiveError):
            use(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 0),
        ("weight", -1.0),
        ("weight", math.inf),
        ("weight", "1"),
        ("temperature", 0.0),
        ("temperature", 1e7),
        ("n_contrasted", 1),
        ("n_contrasted", 2.0),
    ],
)
def test_wrong_parameters_are_refused(name, value):
    objective = Hybrid(**{name: value})
    for check in (
        objective.check,
        lambda: quick(objective=objective).fit(*shades()),
        lambda: quick(stages=[Stage(1, objective=objective)]).fit(*shades()),
    ):
        with pytest.raises(InvalidParameterError, match=rf"'{name}' of Hybrid must be .*, got {value!r}"):
            check()


# The model under several classes


@pytest.mark.parametrize("conditioner", ["mild", "early-film", "spatial-film", "low-rank", "unconditional"])
def test_candidates_are_scored_as_single_classes_are(conditioner):
    model = make_model((2, 3, 5), conditioner=conditioner)
    levels, labels = make_levels(model), make_labels(model)
    candidates = torch.stack([labels, (labels + 2) % 3])
    found = model(levels, candidates)
    assert found.shape == (2, 5)
    expected = torch.stack([model(levels, row) for row in candidates])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-10)


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
    objective = Hybrid(weight=0.3, temperature=2.0)
    clf = quick(objective=objective, net_params={"gradient_clip": None, "callbacks": [seen]})
    clf.fit(X, y, sample_weight=weights)
    model = clf.net_.module_.double().train()
    model.load_state_dict(seen.weights_)
    model.zero_grad()
    inputs, batch_weights = seen.batch_
    labels = inputs["labels"]
    own = torch.arange(len(labels)), labels
    log_prob = torch.stack([model(inputs["levels"], torch.full_like(labels, c)) for c in range(3)], dim=1)
    log_posterior_ = ((log_prob + torch.from_numpy(clf.class_prior_).log()) / 2).log_softmax(dim=1)
    terms = -log_prob[own] / 9 - 0.3 * log_posterior_[own]
    loss = (terms * batch_weights).mean()
    loss.backward()
    assert len(set(clf.class_prior_)) > 1
    assert batch_weights.unique().numel() > 1
    assert seen.loss_ == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(seen.gradients_[name].double(), parameter.grad, rtol=1e-3, atol=1e-5)


def test_the_history_has_every_term():
    """At a vanishing learning rate they are the figures of the model on the training images."""
    X, y = shades()
    options = {"lr": 1e-12, "net_params": {"ema_decay": 0.0}, "max_epochs": 2}
    clf = quick(objective=Hybrid(weight=0.3, temperature=1.0), **options).fit(X, y)
    row = clf.history_[-1]
    assert row["train_bpd"] == pytest.approx(clf.bits_per_dim(X, y), rel=1e-5)
    assert row["train_nll"] == pytest.approx(row["train_bpd"] * math.log(2), rel=1e-9)
    assert row["train_cross_entropy"] == pytest.approx(log_loss(y, clf.predict_proba(X)), rel=1e-4)
    assert row["train_loss"] == pytest.approx(row["train_nll"] + 0.3 * row["train_cross_entropy"], rel=1e-9)
    assert "train_cross_entropy" not in quick().fit(X, y).history_[-1]


class InBits(Likelihood):
    """Minimises bits per dimension, which is a term with a name of its own."""

    def terms(self, scores):
        nll = scores.nats_per_dim
        return {"nll": nll, "bits": nll / math.log(2)}

    def loss(self, terms):
        return terms["bits"]


def test_a_class_of_the_users_own_is_trained_and_recorded():
    X, y = shades()
    row = quick(objective=InBits).fit(X, y).history_[-1]
    assert row["train_bits"] == pytest.approx(row["train_bpd"])
    assert row["train_loss"] == pytest.approx(row["train_bits"])


def test_a_sample_weight_is_a_repetition():
    X, y = shades()
    weights = np.random.RandomState(0).randint(1, 4, size=36)
    weighted = quick(objective="hybrid").fit(X, y, sample_weight=weights)
    repeated = quick(objective="hybrid").fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert same_predictions(weighted, repeated, X)


@pytest.mark.parametrize("n_contrasted", [None, 2, 7])
def test_training_with_drawn_classes_is_reproducible(n_contrasted):
    X, y = shades()
    one, other = (quick(objective=Hybrid(n_contrasted=n_contrasted), dropout=0.2).fit(X, y) for _ in range(2))
    assert same_predictions(one, other, X)


def test_held_out_images_are_scored_by_likelihood_and_posterior():
    X, y = shades()
    clf = quick(objective="hybrid", net_params={"train_split": ValidSplit(3)}).fit(X, y)
    assert clf.history_[-1]["valid_bpd"] > 0
    assert np.isfinite(clf.history_[-1]["valid_log_loss"])


def subtle(n, seed):
    """Noise; the class says only whether the last pixel is the lighter or the darker half."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    X = rng.randint(8, size=(n, 3, 3))
    X[:, -1, -1] = 4 * y + rng.randint(4, size=n)
    return X, y


def test_it_separates_classes_that_hardly_matter_to_the_likelihood():
    X, y = subtle(96, seed=0)
    X_test, y_test = subtle(100, seed=1)
    losses = {}
    for objective in (Likelihood(), Hybrid(weight=1.0, temperature=1.0)):
        clf = quick(objective=objective, max_epochs=4, batch_size=16, lr=5e-3, net_params={"ema_decay": 0.5})
        losses[type(objective)] = log_loss(y_test, clf.fit(X, y).predict_proba(X_test))
    assert losses[Hybrid] < losses[Likelihood] - 0.1
    assert losses[Hybrid] < 0.5


# The estimator


@pytest.mark.parametrize("name", ["weight", "temperature"])
def test_every_parameter_of_the_objective_counts(name):
    X, y = shades()
    changes: list[dict[str, Any]] = [{name: 0.5}, {name: 4.0}]
    one, other = (quick(objective=Hybrid(**change)).fit(X, y) for change in changes)
    assert not same_predictions(one, other, X)
    assert other.temperature_ == 1.0


def test_a_warm_start_with_a_different_objective():
    X, y = shades()
    clf = quick().fit(X, y)
    clf.set_params(objective=Hybrid(0.05, n_contrasted=2), warm_start=True, max_epochs=2).fit(X, y)
    clf.set_params(objective="likelihood").partial_fit(X, y)
    assert ["train_cross_entropy" in row for row in clf.history_] == [False, True, True, False]
    assert all("train_nll" in row for row in clf.history_)


def test_stages_with_different_objectives():
    X, y = shades()
    clf = quick(stages=[Stage(1), Stage(2, objective=Hybrid(0.05))]).fit(X, y)
    assert ["train_cross_entropy" in row for row in clf.history_] == [False, True, True]


class Priors(Likelihood):
    """Records the prior of the first class."""

    def terms(self, scores):
        return {"nll": scores.nats_per_dim, "prior": torch.tensor(scores.prior[0])}


def test_the_prior_of_a_later_training_counts():
    X, y = shades()
    clf = quick(objective=Priors(), pixel_range=(0, 8), n_levels=9)
    clf.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    clf.partial_fit(X, y)
    assert [row["train_prior"] for row in clf.history_] == pytest.approx([0.5, clf.class_prior_[0]])


def test_priors_of_0_do_no_harm():
    X, y = shades()
    clf = quick(objective="hybrid", priors=[0.5, 0, 0.5]).fit(X, y)
    assert np.isfinite(clf.history_[-1]["train_loss"])


def test_parameters_are_reached_through_the_estimator():
    clf = quick(objective="hybrid").set_params(objective__weight=0.5)
    assert clf.objective.weight == 0.5
    assert clone(clf).get_params()["objective__weight"] == 0.5
    assert quick(objective="hybrid").objective == "hybrid"


def test_it_is_searched():
    X, y = shades()
    grid = [{"objective": ["likelihood"]}, {"objective": ["hybrid"], "objective__weight": [0.05, 2.0]}]
    search = GridSearchCV(quick(), grid, scoring="neg_log_loss", cv=2, error_score="raise").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 3


def test_it_is_saved_and_training_continues(tmp_path):
    X, y = shades()
    clf = quick(objective=Hybrid(0.05, n_contrasted=2)).fit(X, y)
    clf.save(tmp_path / "model.safetensors")
    again = GenerativeBayesClassifier.load(tmp_path / "model.safetensors")
    assert isinstance(again.objective, Hybrid)
    assert again.objective.get_params() == {"weight": 0.05, "temperature": 8.0, "n_contrasted": 2}
    assert again.history_[-1]["train_cross_entropy"] == clf.history_[-1]["train_cross_entropy"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.set_params(warm_start=True).fit(X, y)


def test_progress_shows_the_terms(capsys):
    clf = quick(objective=Hybrid(0.05), verbose=1).fit(*shades())
    line = capsys.readouterr().err.strip()
    assert f"cross-entropy {clf.history_[-1]['train_cross_entropy']:.3f}" in line
