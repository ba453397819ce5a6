"""The rules for objectives, each a function that raises when it is broken."""

from __future__ import annotations

import torch
from torch import Tensor

from ..backends.random_numbers import DrawingFrom, new_generator
from ..errors import ObjectiveContractError
from ..objectives import Objective, Scores
from .common_rules import fits_a_model_file, is_an_estimator, pickles, require_meta, require_unchanged
from .contract import Contract, Subject, require
from .models import CLASSES, images_for, tiny_model

__all__ = ["CONTRACT"]

CONTRACT = Contract("objective", ObjectiveContractError)

TAKEN = ("batch_count", "batch_size", "bpd", "loss", "loss_best")  # the history has these as train_<name>
SIZES = ((2, 1), (3, 5), (7, 12))  # K and N
PRIOR = torch.tensor([0.1, 0.2, 0.3, 0.4])


CONTRACT.foundation("Give each parameter of __init__ a default, and store it unchanged.")(is_an_estimator)


@CONTRACT.foundation("Let check raise InvalidParameterError for wrong values only, and change nothing.")
def accepts_its_parameters(subject: Subject) -> None:
    """Its check accepts its hyper-parameters, and does not change them."""
    objective = subject.make()
    before = objective.get_params(deep=False)
    objective.check()
    require_unchanged(objective, before, "check")


@CONTRACT.foundation("Return torch.cat([labels[None], others]), with others of the shape (m - 1, N).")
def scores_the_own_class_first(subject: Subject) -> None:
    """The candidates are int64 of the shape (m, N), with the images' own classes in the first row."""
    for n_classes, n_images in SIZES:
        labels = torch.arange(n_images) % n_classes
        found = subject.make().candidates(labels, n_classes, new_generator(0))
        require(isinstance(found, Tensor), f"a {type(found).__name__} was returned")
        require(found.dtype == torch.int64, f"candidates are {found.dtype}")
        fits = found.ndim == 2 and len(found) > 0 and found.shape[1] == n_images
        require(fits, f"{n_images} labels give the shape {tuple(found.shape)}")
        require(torch.equal(found[0], labels), f"labels {labels.tolist()} give {found[0].tolist()} first")


@CONTRACT.foundation("Draw the other candidates from the other classes, without replacement.")
def repeats_no_class(subject: Subject) -> None:
    """The candidates of an image are different classes from 0 to K - 1."""
    for n_classes, n_images in SIZES:
        labels = torch.arange(n_images) % n_classes
        for column in subject.make().candidates(labels, n_classes, new_generator(0)).T.tolist():
            fits = len(set(column)) == len(column) and 0 <= min(column) <= max(column) < n_classes
            require(fits, f"of {n_classes} classes an image has the candidates {column}")


@CONTRACT.foundation("Return a dict of str to scalar tensors, with the same names for every batch.")
def names_its_terms(subject: Subject) -> None:
    """Its terms are scalar tensors, whose names are identifiers and not used in the history."""
    objective = subject.make()
    first, second = (objective.terms(random_scores(objective, seed=seed)) for seed in range(2))
    require(isinstance(first, dict), f"a {type(first).__name__} was returned")
    require(first.keys() == second.keys(), f"one batch has {sorted(first)}, the next {sorted(second)}")
    for name, value in first.items():
        require(isinstance(name, str) and name.isidentifier(), f"a term has the name {name!r}")
        require(name not in TAKEN, f"a term has the name {name!r}, which is taken")
        words = (
            f"tensor of the shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        )
        require(isinstance(value, Tensor) and value.ndim == 0, f"{name} is a {words}")


@CONTRACT.foundation("Compute the loss from the tensors of terms, by operators of torch.")
def has_a_loss(subject: Subject) -> None:
    """Its loss is a scalar tensor that depends on the log-probabilities."""
    objective = subject.make()
    scores = random_scores(objective)
    loss = objective.loss(objective.terms(scores))
    words = f"tensor of the shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
    require(isinstance(loss, Tensor) and loss.ndim == 0, f"the loss is a {words}")
    require(loss.requires_grad, "the loss has no gradient")
    (gradient,) = torch.autograd.grad(loss, scores.log_prob, allow_unused=True)
    require(gradient is not None and bool(gradient.any()), "the gradient is 0")


@CONTRACT.rule("Return scores.nats_per_dim under the name 'nll', even if the loss does not use it.")
def records_the_likelihood(subject: Subject) -> None:
    """Its term "nll" is the weighted mean of the negative log-likelihood, in nats per dimension."""
    objective = subject.make()
    scores = random_scores(objective)
    terms = objective.terms(scores)
    require("nll" in terms, f"the terms are {', '.join(terms) or 'none'}")
    found, expected = terms["nll"].item(), scores.nats_per_dim.item()
    require(abs(found - expected) < 1e-6 * abs(expected), f"nll is {found:g} instead of {expected:g}")


@CONTRACT.rule("Keep no state in self, and draw random numbers only in candidates.")
def depends_on_scores_only(subject: Subject) -> None:
    """The same scores always have the same terms, and the same terms the same loss."""
    objective = subject.make()
    scores = random_scores(objective)
    terms = objective.terms(scores)
    before = figures(objective, terms)
    for seed in range(1, 3):
        figures(objective, objective.terms(random_scores(objective, seed=seed)))
    require(figures(objective, terms) == before, "for the same terms, a second loss differs")
    require(figures(objective, objective.terms(scores)) == before, "for the same scores, second terms differ")


@CONTRACT.rule(
    "Pass the generator to every function of torch that draws, and use no random numbers of NumPy."
)
def follows_its_generator(subject: Subject) -> None:
    """The same seed of the generator draws the same candidates; torch's default generator is not used."""
    objective, labels = subject.make(), torch.arange(20) % 5
    objective.candidates(labels, 5)  # from torch's default generator
    with DrawingFrom(seed=1) as drawing:
        one, other = (objective.candidates(labels, 5, new_generator(3)) for _ in range(2))
    require(not drawing.generators, "with a generator, torch's default generator is used")
    require(torch.equal(one, other), "with the same seed, candidates differ")


@CONTRACT.rule("Draw on the CPU, and move the results to labels.device or scores.log_prob.device.")
def follows_its_device(subject: Subject) -> None:
    """Candidates are on the device of the labels, and terms on that of the scores."""
    objective, labels = subject.make(), torch.arange(6).to("meta") % 4
    require_meta("candidates", lambda: [objective.candidates(labels, 4, new_generator(0))])
    scores = random_scores(objective)
    log_prob, candidates, weights = (
        each.to("meta") for each in (scores.log_prob, scores.candidates, scores.weights)
    )
    moved = Scores(log_prob, candidates, weights, scores.prior, scores.n_dimensions)
    require_meta("terms", lambda: objective.terms(moved).values())


@CONTRACT.rule(
    "Compute with logarithms (logsumexp, log_softmax), and ignore images of a class with the prior 0."
)
def stays_finite(subject: Subject) -> None:
    """Terms, loss and gradient are finite, also for extreme scores and for classes with the prior 0."""
    rare = torch.tensor([0.0, 0.5, 0.0, 0.5])
    for words, options in (
        ("typical scores", {}),
        ("classes thousands of nats apart", {"spread": 3000.0}),
        ("equal scores", {"spread": 0.0}),
        ("a prior of 0", {"prior": rare}),
    ):
        objective = subject.make()
        scores = random_scores(objective, **options)
        terms = objective.terms(scores)
        loss = objective.loss(terms)
        (gradient,) = torch.autograd.grad(loss, scores.log_prob)
        for name, value in {**terms, "the loss": loss, "the gradient": gradient}.items():
            require(bool(value.isfinite().all()), f"with {words}, {name} is not finite")


@CONTRACT.rule("Multiply the contribution of each image by its weight, and divide by the number of images.")
def ignores_images_of_weight_0(subject: Subject) -> None:
    """An image of weight 0 has no influence on any term."""
    objective = subject.make()
    weights = torch.tensor([0.0, 2.0, 1.0, 0.0, 0.5, 2.5])
    scores = random_scores(objective, weights=weights)
    moved = torch.where(
        weights == 0, scores.log_prob - 20 * torch.rand_like(scores.log_prob), scores.log_prob
    )
    changed = Scores(moved, scores.candidates, weights, scores.prior, scores.n_dimensions)
    before, after = objective.terms(scores), objective.terms(changed)
    for name, value in before.items():
        require(torch.allclose(value, after[name], rtol=1e-9), f"{name} changes with an image of weight 0")


@CONTRACT.rule("Give the loss a scale at which Adam changes the weights, such as nats per dimension.")
def learns(subject: Subject) -> None:
    """Two steps of training change the weights, and all of them stay finite."""
    objective, model = subject.make(), tiny_model().train()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    images, labels, weights = images_for(model), CLASSES.repeat(2), torch.ones(6)
    prior = (torch.ones(len(CLASSES), dtype=torch.float64) / len(CLASSES)).numpy()
    for step in range(2):
        candidates = objective.candidates(labels, len(CLASSES), new_generator(step))
        scores = Scores(model(images, candidates), candidates, weights, prior, model.n_dimensions)
        optimizer.zero_grad()
        objective.loss(objective.terms(scores)).backward()
        optimizer.step()
    after = list(model.parameters())
    require(all(bool(value.isfinite().all()) for value in after), "weights are not finite")
    require(not all(map(torch.equal, before, after)), "no weight changed")


CONTRACT.rule(
    "Define functions and classes at the top of a module; keep no lambda, file or generator in self."
)(pickles)


CONTRACT.rule("Take hyper-parameters that JSON can hold: numbers, strings, lists, dicts.")(fits_a_model_file)


def random_scores(
    objective: Objective,
    *,
    seed: int = 0,
    spread: float = 3.0,
    prior: Tensor = PRIOR,
    weights: Tensor | None = None,
) -> Scores:
    """Scores of six images of 9 dimensions and four classes, which differ by as many nats."""
    labels = torch.arange(6) % len(prior)
    generator = new_generator(seed)
    log_prob = torch.randn(len(prior), len(labels), generator=generator, dtype=torch.float64) * spread
    candidates = objective.candidates(labels, len(prior), generator)
    return Scores(
        log_prob=(log_prob - log_prob.max() - 5).gather(0, candidates).requires_grad_(),
        candidates=candidates,
        weights=torch.tensor([0.5, 1.5, 1.0, 2.0, 0.5, 0.5]) if weights is None else weights,
        prior=prior.double().numpy(),
        n_dimensions=9,
    )


def figures(objective: Objective, terms: dict[str, Tensor]) -> dict[str, float]:
    """Terms and loss as numbers."""
    return {name: value.item() for name, value in terms.items()} | {"the loss": objective.loss(terms).item()}
