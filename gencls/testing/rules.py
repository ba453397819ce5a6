"""The rules of the contract, each a function that says when it is broken."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from itertools import combinations, product

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor
from torch.autograd.functional import jacobian

from ..backends.random_numbers import DrawingFrom
from ..conditioners import Modulation
from ..inference.sampling import ancestral_sample, cached_sample, draw_noise
from ..model_files.json_values import to_json
from ..pixelcnn import PixelCNN
from .subject import CLASSES, TOLERANCE, Broken, Rule, Subject, equal, parts, random_images, require, rule

__all__ = ["FOUNDATIONS", "RULES"]

SHAPES = ((1, 1, 1), (3, 1, 5), (1, 4, 4), (3, 5, 7))  # C, H and W

FOUNDATIONS: list[Rule] = []  # what the other rules need
RULES: list[Rule] = []


@rule(
    FOUNDATIONS, "Give each parameter of __init__ a default, store it unchanged, and call super().__init__()."
)
def is_an_estimator(subject: Subject) -> None:
    """It is made without arguments, cloned, and given hyper-parameters as scikit-learn does it."""
    twin = clone(subject.make())
    twin.set_params(**twin.get_params(deep=False))


@rule(FOUNDATIONS, "Take sizes from the sites that build is given, and store results under other names.")
def builds(subject: Subject) -> None:
    """It builds for images of any size and networks of any depth, and leaves its hyper-parameters alone."""
    for shape, n_layers in zip(SHAPES, (1, 2, 1, 1), strict=True):
        conditioner = subject.make()
        before = conditioner.get_params(deep=False)
        conditioner.build(2, PixelCNN(shape, 1, n_layers, n_filters=4).sites)
        after = conditioner.get_params(deep=False)
        changed = [name for name in before if after[name] is not before[name]]
        require(not changed, f"build changed {', '.join(changed)}")
        conditioner(torch.tensor([1, 0]))


@rule(FOUNDATIONS, "Return a dict of Site to Modulation, with sites from the list that build was given.")
def touches_sites(subject: Subject) -> None:
    """It returns modulations for sites of the network, for the same ones whatever the labels are."""
    model = subject.model()
    touched = model.conditioner(CLASSES)
    require(isinstance(touched, dict), f"a {type(touched).__name__} came back")
    for site, modulation in touched.items():
        require(site in model.network.sites, f"{site} is no site of this network")
        require(isinstance(modulation, Modulation), f"at {site} stands a {type(modulation).__name__}")
    for label in CLASSES.split(1):
        other = model.conditioner(label)
        require(other.keys() == touched.keys(), f"label {label.item()} touches other sites than all together")


@rule(FOUNDATIONS, "Return a row for each label, and take F, H and W from the site.")
def has_the_right_shapes(subject: Subject) -> None:
    """Shift and scale have the shape (N, F) or (N, F, H, W), the parts of mix (N, F, R) and (N, R, F)."""
    for shape, n_labels in zip(SHAPES, (1, 2, 3, 5), strict=True):
        touched = subject.model(shape).conditioner(torch.arange(n_labels) % len(CLASSES))
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


@rule(FOUNDATIONS, "Keep no state, look at no image, and let nothing be random unless self.training is True.")
def depends_on_labels_only(subject: Subject) -> None:
    """In evaluation the same labels always give the same, whatever the model saw in between."""
    model = subject.model()
    before = parts(model.conditioner(CLASSES))
    for seed in range(2):
        model(random_images(model, seed), CLASSES.repeat(2))
        equal(before, parts(model.conditioner(CLASSES)), "when it is called again")


@rule(RULES, "Register tensors as parameters or buffers, and make others with the dtype and device of these.")
def follows_its_module(subject: Subject) -> None:
    """What it returns has the dtype of its parameters and lies on their device."""
    conditioner = subject.model().conditioner
    for name, value in parts(conditioner(CLASSES)).items():
        require(value.dtype == torch.float64, f"in a model of float64 the {name} is {value.dtype}")
    try:
        moved = parts(conditioner.to("meta")(CLASSES.to("meta")))
    except (NotImplementedError, RuntimeError):  # it looks into the labels; that device cannot
        return
    for name, value in moved.items():
        require(value.device.type == "meta", f"when the model is moved, the {name} stays on {value.device}")


@rule(RULES, "Let nothing follow from the image or from other positions; labels are all there is.")
def is_causal(subject: Subject) -> None:
    """A pixel's distribution depends on the pixels before it only: elsewhere the Jacobian is 0."""
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


@rule(RULES, "This follows from the other rules; mend those first.")
def is_a_probability(subject: Subject) -> None:
    """For every class the probabilities of all images of a tiny size sum to 1."""
    for shape, n_levels in (((1, 2, 2), 3), ((3, 1, 2), 2)):
        model = subject.model(shape, n_levels)
        images = torch.tensor(list(product(range(n_levels), repeat=model.n_dimensions))).unflatten(1, shape)
        for label in CLASSES:
            total = model(images, label.expand(len(images))).exp().sum().item()
            require(abs(total - 1) < TOLERANCE, f"for class {label} and images of {shape} it is {total}")


@rule(RULES, "Let every class have values of its own, or set ignores_labels = True in the class.")
def tells_classes_apart(subject: Subject) -> None:
    """The labels make a difference; or it says that it ignores them, and then they make none."""
    model = subject.model()
    scores = model.log_prob_per_class(random_images(model), CLASSES)
    ignores = model.conditioner.ignores_labels
    for one, other in combinations(range(len(CLASSES)), 2):
        alike = torch.allclose(scores[:, one], scores[:, other], atol=TOLERANCE)
        likelihoods = "the same likelihoods" if alike else "different likelihoods"
        require(alike == ignores, f"classes {one} and {other} get {likelihoods}; ignores_labels is {ignores}")


@rule(RULES, "Use every parameter in forward; of two factors start one at 0 at most.")
def learns(subject: Subject) -> None:
    """From the start every parameter learns: three steps of training change it."""
    model = subject.model(start=True).train()
    parameters = dict(model.conditioner.named_parameters())
    if not parameters:
        return
    start = deepcopy(parameters)
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (-model(random_images(model), CLASSES.repeat(2)).mean()).backward()
        optimizer.step()
    stuck = [name for name, value in parameters.items() if torch.equal(value, start[name])]
    require(not stuck, f"{', '.join(stuck)} did not change")


@rule(RULES, "Compute each row from its own label.")
def keeps_rows_apart(subject: Subject) -> None:
    """Row i belongs to label i, whatever the other labels are."""
    conditioner = subject.model().conditioner
    labels = torch.tensor([2, 0, 0, 1])
    together = parts(conditioner(labels))
    for row in range(len(labels)):
        own = {name: value[[row]] for name, value in together.items()}
        equal(own, parts(conditioner(labels[[row]])), f"with label {labels[row]} alone")


@rule(RULES, "Compute each row from its own label.")
def scores_classes_alike(subject: Subject) -> None:
    """Scoring one class at a time, or an image under its own class, gives what scoring all classes gives."""
    model = subject.model((3, 5, 7))
    images, labels = random_images(model), CLASSES.repeat(2)
    together = model.log_prob_per_class(images, CLASSES)
    alone = torch.cat([model.log_prob_per_class(images, label) for label in CLASSES.split(1)], dim=1)
    own = together.gather(1, labels[:, None])[:, 0]
    for words, one, other in (("one class", together, alone), ("its own class", own, model(images, labels))):
        require(torch.allclose(one, other, atol=TOLERANCE), f"{words} alone gives other likelihoods")


@rule(RULES, "Return plain Modulation objects, which act on one position at a time.")
def works_on_single_pixels(subject: Subject) -> None:
    """What it applies to one pixel is what it applies there in a whole image."""
    for site, modulation in subject.model((1, 5, 7)).conditioner(CLASSES[:2]).items():
        arranged = modulation.per_image()
        features = torch.randn(1, 2, site.channels, site.height, site.width, dtype=torch.float64)
        whole = arranged.apply(features)
        for row, column in ((0, 0), (site.height - 1, site.width - 1)):
            rows, columns = slice(row, row + 1), slice(column, column + 1)
            pixel = arranged.at(rows, columns).apply(features[..., rows, columns])
            fits = torch.allclose(pixel, whole[..., rows, columns], atol=TOLERANCE)
            require(fits, f"the pixel in row {row} and column {column} is another at {site}")


@rule(RULES, "Return plain Modulation objects, which act on one position at a time.")
def samples_alike(subject: Subject) -> None:
    """Sampling with the cache draws the same images as sampling without it."""
    model = subject.model((3, 3, 5), n_levels=16)
    labels = CLASSES.repeat(2)
    noise = draw_noise(model, len(labels), np.random.RandomState(0))
    plain, cached = ancestral_sample(model, labels, noise), cached_sample(model, labels, noise)
    require(torch.equal(plain, cached), f"{int((plain != cached).sum())} of {plain.numel()} values differ")


@rule(RULES, "Draw random numbers from torch's own generator, and only in build.")
def follows_the_seed(subject: Subject) -> None:
    """The same seed of torch builds the same parameters."""
    one, other = (subject.model(seed=5).conditioner for _ in range(2))
    equal(parts(one(CLASSES)), parts(other(CLASSES)), "when it is built again")


@rule(RULES, "Set is_random = True in the class, or draw random numbers only in build.")
def says_whether_it_is_random(subject: Subject) -> None:
    """If it draws random numbers in training, it says so: they then follow from random_state."""
    conditioner = subject.model().conditioner.train()
    with DrawingFrom(seed=0) as drawing:
        conditioner(CLASSES)
    draws = bool(drawing.generators)
    require(draws <= conditioner.is_random, "forward draws in training, and is_random is False")


@rule(RULES, "Make new parameters in every build; keep none in the class or in the module.")
def shares_nothing(subject: Subject) -> None:
    """Two conditioners that are built alike have parameters of their own."""
    one, other = subject.model().conditioner, subject.model().conditioner
    before = deepcopy(parts(other(CLASSES)))
    with torch.no_grad():
        for value in one.state_dict().values():
            value.zero_()
    equal(before, parts(other(CLASSES)), "when the parameters of another change")


@rule(RULES, "Define what it uses at the top of a module; keep no lambda, open file or generator in self.")
def pickles(subject: Subject) -> None:
    """It can be pickled and copied, before it is built and after."""
    pickle.loads(pickle.dumps(subject.make()))
    built = subject.model().conditioner
    expected = parts(built(CLASSES))
    equal(expected, parts(pickle.loads(pickle.dumps(built))(CLASSES)), "after pickling")
    equal(expected, parts(deepcopy(built)(CLASSES)), "after copying")


@rule(RULES, "Register all that build draws or computes as a parameter or with register_buffer.")
def saves_all_it_learned(subject: Subject) -> None:
    """Its state_dict, saved and loaded into another that was built alike, makes that one the same."""
    built, fresh = subject.model().conditioner, subject.model(seed=1).conditioner
    file = io.BytesIO()
    torch.save(built.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    equal(parts(built(CLASSES)), parts(fresh(CLASSES)), "after loading")


@rule(RULES, "Take hyper-parameters that JSON can hold, and read no values of tensors in build.")
def fits_a_model_file(subject: Subject) -> None:
    """A model file can hold its hyper-parameters, and it builds without memory, on torch's device "meta"."""
    for name, value in subject.make().get_params(deep=False).items():
        try:
            to_json(value)
        except TypeError as error:
            raise Broken(f"{name}: {error}") from error
    with torch.device("meta"):
        subject.model()
