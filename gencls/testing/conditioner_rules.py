"""The rules for conditioners, each a function that raises when it is broken."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from ..backends.random_numbers import DrawingFrom
from ..conditioners import CONDITIONERS, Conditioner, Modulation, Modulations
from ..density.model import ConditionalPixelCNN
from ..errors import ConditionerContractError
from ..inference.sampling import ancestral_sample, cached_sample, draw_noise
from . import common_rules
from .contract import Contract, Subject, require
from .models import CLASSES, TOLERANCE, all_images, images_for, sites_of, tiny_conditioner, tiny_model

__all__ = ["CONTRACT", "ConditionerSubject"]

CONTRACT = Contract("conditioner", ConditionerContractError)

SHAPES = ((1, 1, 1), (3, 1, 5), (1, 4, 4), (3, 5, 7))  # C, H and W


class ConditionerSubject(Subject):
    """The conditioner under examination."""

    def __init__(self, conditioner: str | type[Conditioner] | Conditioner):
        super().__init__(CONDITIONERS, conditioner)

    def model(
        self,
        image_shape: tuple[int, int, int] = (1, 4, 4),
        n_levels: int = 3,
        *,
        seed: int = 0,
        start: bool = False,
    ) -> ConditionalPixelCNN:
        """A tiny model with it; see `tiny_model`."""
        return tiny_model(image_shape, n_levels, conditioner=self.given, seed=seed, start=start)

    def built(self, image_shape: tuple[int, int, int] = (1, 4, 4), *, seed: int = 0) -> Conditioner:
        """The conditioner of a tiny model, without the rest of it."""
        return tiny_conditioner(self.make(), image_shape, seed)


CONTRACT.foundation(
    "Give each parameter of __init__ a default, store it unchanged, and call super().__init__()."
)(common_rules.is_an_estimator)


@CONTRACT.foundation("Take sizes from the sites that build is given, and store results under other names.")
def builds(subject: ConditionerSubject) -> None:
    """It builds for any image size and network depth, and does not change its hyper-parameters."""
    for shape, n_layers in zip(SHAPES, (1, 2, 1, 1), strict=True):
        conditioner = subject.make()
        before = conditioner.get_params(deep=False)
        conditioner.build(2, sites_of(shape, n_layers))
        common_rules.require_unchanged(conditioner, before, "build")
        conditioner(torch.tensor([1, 0]))


@CONTRACT.foundation("Return a dict of Site to Modulation, with sites from the list that build was given.")
def touches_sites(subject: ConditionerSubject) -> None:
    """It returns modulations for sites of the network, and the sites do not depend on the labels."""
    conditioner = subject.built()
    touched = conditioner(CLASSES)
    require(isinstance(touched, dict), f"a {type(touched).__name__} was returned")
    for site, modulation in touched.items():
        require(site in sites_of((1, 4, 4)), f"{site} is not a site of this network")
        require(isinstance(modulation, Modulation), f"{site} has a {type(modulation).__name__}")
    for label in CLASSES.split(1):
        other = conditioner(label)
        require(
            other.keys() == touched.keys(),
            f"label {label.item()} touches different sites than all labels together",
        )


@CONTRACT.foundation("Return a row for each label, and take F, H and W from the site.")
def has_the_right_shapes(subject: ConditionerSubject) -> None:
    """Shift and scale have the shape (N, F) or (N, F, H, W), the parts of mix (N, F, R) and (N, R, F)."""
    for shape, n_labels in zip(SHAPES, (1, 2, 3, 5), strict=True):
        touched = subject.built(shape)(torch.arange(n_labels) % len(CLASSES))
        for site, modulation in touched.items():
            row = (n_labels, site.channels)
            for value in (modulation.shift, modulation.scale):
                if value is not None:
                    fits = value.shape in (row, (*row, site.height, site.width))
                    require(fits, f"{n_labels} labels give {tuple(value.shape)} at {site}")
            if modulation.mix is not None:
                left, right = modulation.mix
                fits = left.shape[:2] == row and right.shape == left.mT.shape
                require(fits, f"{n_labels} labels give {tuple(left.shape)}, {tuple(right.shape)} at {site}")


@CONTRACT.foundation("Keep no state, use no image, and draw random numbers only if self.training is True.")
def depends_on_labels_only(subject: ConditionerSubject) -> None:
    """In evaluation the same labels always have the same modulations, regardless of earlier calls."""
    model = subject.model()
    before = parts(model.conditioner(CLASSES))
    for seed in range(2):
        model(images_for(model, seed), CLASSES.repeat(2))
        equal(before, parts(model.conditioner(CLASSES)), "in a second call")


@CONTRACT.rule(
    "Register tensors as parameters or buffers, and make other tensors with their dtype and device."
)
def follows_its_module(subject: ConditionerSubject) -> None:
    """The modulations have the dtype and the device of its parameters."""
    conditioner = subject.built()
    for name, value in parts(conditioner(CLASSES)).items():
        require(value.dtype == torch.float64, f"in a model of float64 the {name} is {value.dtype}")
    try:
        moved = parts(conditioner.to("meta")(CLASSES.to("meta")))
    except (NotImplementedError, RuntimeError):  # it needs the values of labels
        return
    for name, value in moved.items():
        require(value.device.type == "meta", f"when the model is moved, the {name} stays on {value.device}")


@CONTRACT.rule("Compute modulations from labels only, not from the image or from other positions.")
def is_causal(subject: ConditionerSubject) -> None:
    """A pixel's distribution depends on earlier pixels only: all other entries of the Jacobian are 0."""
    model = subject.model((3, 3, 4))
    weights = torch.randn(model.likelihood.n_parameters, 1, 1, dtype=torch.float64)

    def outputs(images: Tensor) -> Tensor:
        modulations = model.modulate_images(CLASSES[1:2])
        return (model.network(images, modulations)[0, 0] * weights).sum(0).flatten()

    images = torch.randn(1, *model.image_shape, dtype=torch.float64)
    influence = jacobian(outputs, images).abs().sum((1, 2)).flatten(1)
    wrong = [
        f"pixel {pixel} depends on pixel {later}" for pixel, later in influence.triu().nonzero().tolist()
    ]
    require(not wrong, f"{', '.join(wrong[:3])}; they are counted from 0, row by row")


@CONTRACT.rule("This rule follows from the others: repair those first.")
def is_a_probability(subject: ConditionerSubject) -> None:
    """For every class the probabilities of all images of a tiny size sum to 1."""
    for shape, n_levels in (((1, 2, 2), 3), ((3, 1, 2), 2)):
        model = subject.model(shape, n_levels)
        images = all_images(shape, n_levels)
        for label in CLASSES:
            total = model.log_prob(images, label.expand(len(images))).exp().sum().item()
            require(abs(total - 1) < TOLERANCE, f"for class {label} and images of {shape} it is {total}")


@CONTRACT.rule("Compute different values for every class, or set ignores_labels = True in the class.")
def separates_classes(subject: ConditionerSubject) -> None:
    """The labels change the likelihood, unless ignores_labels is True."""
    model = subject.model()
    scores = model.log_prob_per_class(images_for(model), CLASSES)
    ignores = model.conditioner.ignores_labels
    for one, other in combinations(range(len(CLASSES)), 2):
        alike = torch.allclose(scores[:, one], scores[:, other], atol=TOLERANCE)
        likelihoods = "the same likelihoods" if alike else "different likelihoods"
        require(alike == ignores, f"classes {one} and {other} get {likelihoods}; ignores_labels is {ignores}")


@CONTRACT.rule("Use every parameter in forward; of two factors, start at most one at 0.")
def learns(subject: ConditionerSubject) -> None:
    """From the start every parameter learns: three steps of training change it."""
    model = subject.model(start=True).train()
    parameters = dict(model.conditioner.named_parameters())
    if not parameters:
        return
    start = deepcopy(parameters)
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (-model(images_for(model), CLASSES.repeat(2)).mean()).backward()
        optimizer.step()
    stuck = [name for name, value in parameters.items() if torch.equal(value, start[name])]
    require(not stuck, f"{', '.join(stuck)} did not change")


@CONTRACT.rule("Compute each row from its own label.")
def keeps_rows_apart(subject: ConditionerSubject) -> None:
    """Row i depends on label i only."""
    conditioner = subject.built()
    labels = torch.tensor([2, 0, 0, 1])
    together = parts(conditioner(labels))
    for row in range(len(labels)):
        own = {name: value[[row]] for name, value in together.items()}
        equal(own, parts(conditioner(labels[[row]])), f"with only label {labels[row]}")


@CONTRACT.rule("Compute each row from its own label.")
def scores_classes_alike(subject: ConditionerSubject) -> None:
    """An image has the same likelihood whether one class, its own class or all classes are scored."""
    model = subject.model((3, 5, 7))
    images, labels = images_for(model), CLASSES.repeat(2)
    together = model.log_prob_per_class(images, CLASSES)
    single = torch.cat([model.log_prob_per_class(images, label) for label in CLASSES.split(1)], dim=1)
    own = together.gather(1, labels[:, None])[:, 0]
    found = model.log_prob(images, labels)
    for words, one, other in (("one class at a time", together, single), ("its own class", own, found)):
        require(torch.allclose(one, other, atol=TOLERANCE), f"likelihoods differ for {words}")


@CONTRACT.rule("Return plain Modulation objects, which act on each position separately.")
def works_on_single_pixels(subject: ConditionerSubject) -> None:
    """A modulation applied to a single pixel has the same effect as in the whole image."""
    for site, modulation in subject.built((1, 5, 7))(CLASSES[:2]).items():
        arranged = modulation.per_image()
        features = torch.randn(1, 2, site.channels, site.height, site.width, dtype=torch.float64)
        whole = arranged.apply(features)
        for row, column in ((0, 0), (site.height - 1, site.width - 1)):
            rows, columns = slice(row, row + 1), slice(column, column + 1)
            pixel = arranged.at(rows, columns).apply(features[..., rows, columns])
            fits = torch.allclose(pixel, whole[..., rows, columns], atol=TOLERANCE)
            require(fits, f"the pixel in row {row} and column {column} differs at {site}")


@CONTRACT.rule("Return plain Modulation objects, which act on each position separately.")
def samples_alike(subject: ConditionerSubject) -> None:
    """Sampling with the cache draws the same images as sampling without it."""
    model = subject.model((3, 3, 5), n_levels=16)
    labels = CLASSES.repeat(2)
    noise = draw_noise(model, len(labels), np.random.RandomState(0))
    plain, cached = ancestral_sample(model, labels, noise), cached_sample(model, labels, noise)
    require(torch.equal(plain, cached), f"{int((plain != cached).sum())} of {plain.numel()} values differ")


@CONTRACT.rule("Draw random numbers from torch's default generator, and only in build.")
def follows_the_seed(subject: ConditionerSubject) -> None:
    """The same seed of torch builds the same parameters."""
    one, other = (subject.built(seed=5) for _ in range(2))
    equal(parts(one(CLASSES)), parts(other(CLASSES)), "in a second build")


@CONTRACT.rule("Set is_random = True in the class, or draw random numbers only in build.")
def says_whether_it_is_random(subject: ConditionerSubject) -> None:
    """If it draws random numbers in training, is_random is True, so that they follow from random_state."""
    conditioner = subject.built().train()
    with DrawingFrom(seed=0) as drawing:
        conditioner(CLASSES)
    draws = bool(drawing.generators)
    require(draws <= conditioner.is_random, "forward draws in training, and is_random is False")


@CONTRACT.rule("Make new parameters in every build, and keep no parameters in the class or in the module.")
def shares_nothing(subject: ConditionerSubject) -> None:
    """Two conditioners do not share parameters."""
    one, other = subject.built(), subject.built()
    before = deepcopy(parts(other(CLASSES)))
    with torch.no_grad():
        for value in one.state_dict().values():
            value.zero_()
    equal(before, parts(other(CLASSES)), "when the parameters of the first change")


@CONTRACT.rule(
    "Define functions and classes at the top of a module; keep no lambda, file or generator in self."
)
def pickles(subject: ConditionerSubject) -> None:
    """It can be pickled and copied, before build and after."""
    common_rules.pickles(subject)
    built = subject.built()
    expected = parts(built(CLASSES))
    equal(expected, parts(pickle.loads(pickle.dumps(built))(CLASSES)), "after pickling")
    equal(expected, parts(deepcopy(built)(CLASSES)), "after copying")


@CONTRACT.rule("Register what build draws or computes as a parameter or with register_buffer.")
def saves_all_it_learned(subject: ConditionerSubject) -> None:
    """Its state_dict holds everything that build created: a second conditioner that loads it is equal."""
    built, fresh = subject.built(), subject.built(seed=1)
    file = io.BytesIO()
    torch.save(built.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    equal(parts(built(CLASSES)), parts(fresh(CLASSES)), "after loading")


@CONTRACT.rule("Take hyper-parameters that JSON can hold, and read no values of tensors in build.")
def fits_a_model_file(subject: ConditionerSubject) -> None:
    """A model file can hold its hyper-parameters, and it builds without memory, on torch's device "meta"."""
    common_rules.fits_a_model_file(subject)
    with torch.device("meta"):
        subject.model()


def parts(modulations: Modulations) -> dict[str, Tensor]:
    """All tensors of some modulations, by names for messages."""
    named = {
        f"{name} at {site.key}": value
        for site, each in modulations.items()
        for name, value in (
            ("shift", each.shift),
            ("scale", each.scale),
            ("L of mix", each.mix and each.mix[0]),
            ("R of mix", each.mix and each.mix[1]),
        )
    }
    return {name: value.detach() for name, value in named.items() if value is not None}


def equal(one: dict[str, Tensor], other: dict[str, Tensor], where: str) -> None:
    """Raise `Broken` unless two dicts hold the same tensors."""
    require(one.keys() == other.keys(), f"{where} there are different tensors")
    for name, value in one.items():
        require(torch.allclose(value, other[name], rtol=0, atol=TOLERANCE), f"{where} the {name} differs")
