"""What holds for every conditioner, and what each does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from small import quick

from gencls import ConditionalPixelCNN, GenerativeBayesClassifier, InvalidParameterError, list_conditioners
from gencls.conditioners import get_conditioner
from gencls.conditioners.embedding import Embedding
from gencls.conditioners.late import Late
from gencls.conditioners.low_rank import LowRank
from gencls.conditioners.spatial import Spatial
from gencls.conditioners.spatial_film import SpatialFilm
from gencls.pixelcnn import PixelCNN
from gencls.testing import check_conditioner

ZOO = list_conditioners()
PAGE = Path(__file__).parent.parent / "docs/zoo.md"


def model(conditioner, image_shape=(1, 5, 7), n_classes=3, n_layers=1):
    torch.manual_seed(0)
    return ConditionalPixelCNN(
        image_shape, 5, n_classes, conditioner, n_layers, n_filters=4, n_mixtures=1
    ).eval()


def touched(conditioner, **options):
    """The sites that a conditioner touches."""
    return list(model(conditioner, **options).conditioner(torch.arange(2)))


@pytest.mark.parametrize("name", ZOO)
def test_the_contract_holds(name):
    check_conditioner(name)


def test_there_are_ten_or_more():
    assert len(ZOO) >= 10


@pytest.mark.parametrize("name", ZOO)
def test_training_starts_with_the_unconditioned_network(name):
    images = torch.randint(5, (3, 1, 5, 7))
    conditioned, plain = model(name), model("unconditional")
    plain.network.load_state_dict(conditioned.network.state_dict())
    labels = torch.arange(3)
    torch.testing.assert_close(conditioned(images, labels), plain(images, labels))


@pytest.mark.parametrize("name", ZOO)
def test_it_trains_and_classifies(name):
    X, y = load_digits(n_class=3, return_X_y=True)
    clf = quick(conditioner=name)
    clf.fit(X[:60], y[:60])
    probabilities = clf.predict_proba(X[60:70])
    assert probabilities.shape == (10, 3)
    if clf.conditioner_.ignores_labels:
        np.testing.assert_allclose(probabilities, np.tile(clf.class_prior_, (10, 1)))
    else:
        assert len(np.unique(probabilities[:, 0])) == 10


@pytest.mark.parametrize("name", ZOO)
def test_the_docstring_tells_the_source(name):
    assert re.search(r"^References\n-{10}\n\S", inspect.getdoc(get_conditioner(name)) or "", re.MULTILINE)


def test_the_page_describes_them_all_with_their_numbers_of_parameters():
    rows = re.findall(
        r"^\| `([\w-]+)` \|.*\| ([^|]+) \|[^|]+\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(name for name, _ in rows) == ZOO
    height, width, n_layers, n_classes = 5, 7, 2, 3
    sizes = {
        "K": n_classes,
        "F": 4,
        "H": height,
        "W": width,
        "B": 6 * n_layers + 2,
        "b": 2,
        "d": 16,
        "m": 4,
        "r": 2,
        "u": 3 * n_layers + 2,
    }
    for name, formula in rows:
        counted = model(name, (1, height, width), n_classes, n_layers).conditioner.parameters()
        product = formula.replace("·", "*").replace("`", "")
        assert eval(product, {}, sizes) == sum(each.numel() for each in counted), name


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("early", {"input"}),
        ("early-film", {"input", "first", "second"}),
        ("embedding", {"second"}),
        ("film", {"first", "second"}),
        ("head", {"head"}),
        ("late", {"second", "head"}),
        ("low-rank", {"second"}),
        ("mild", {"second"}),
        ("spatial", {"second"}),
        ("spatial-film", {"first", "second"}),
        ("strong", {"first", "second"}),
        ("template", {"input"}),
        ("unconditional", set()),
    ],
)
def test_each_touches_its_sites(name, sites):
    found = touched(name)
    assert {site.name for site in found} == sites
    if name not in ("late", "low-rank"):
        assert set(found) == set(PixelCNN((1, 5, 7), 1, 1, 4).sites.named(*sites))


@pytest.mark.parametrize(("n_blocks", "blocks"), [(1, {(5, 2)}), (3, {(5, 0), (5, 1), (5, 2)}), (4, None)])
def test_late_touches_the_last_blocks_of_both_streams(n_blocks, blocks):
    found = [site for site in touched(Late(n_blocks), n_layers=2) if site.name == "second"]
    blocks = blocks or {(4, 2), (5, 0), (5, 1), (5, 2)}
    assert {(site.stage, site.block) for site in found} == blocks
    assert len(found) == 2 * len(blocks)


@pytest.mark.parametrize("first_stage", range(6))
def test_low_rank_begins_at_its_first_stage(first_stage):
    sites = PixelCNN((1, 5, 7), 1, 1, 4).sites.named("second")
    assert set(touched(LowRank(first_stage=first_stage))) == set(sites.in_stages(range(first_stage, 6)))
    assert set(touched("low-rank")) == set(sites.in_stages(range(3, 6)))


@pytest.mark.parametrize("name", ["template", "spatial", "spatial-film"])
def test_maps_differ_from_place_to_place(name):
    built = model(name).conditioner
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_()
    for site, modulation in built(torch.arange(3)).items():
        assert modulation.shift.shape == (3, site.channels, site.height, site.width)
        assert modulation.shift.std((2, 3)).min() > 0


@pytest.mark.parametrize(
    "conditioner", [Embedding(3), LowRank(1), LowRank(first_stage=4), Late(5), Spatial(2), SpatialFilm(3)]
)
def test_hyper_parameters_keep_the_contract(conditioner):
    check_conditioner(conditioner)


@pytest.mark.parametrize(
    ("conditioner", "words"),
    [
        (Embedding(0), "'size' of Embedding must be an int of at least 1, got 0"),
        (LowRank("two"), "'rank' of LowRank must be an int of at least 1, got 'two'"),  # type: ignore[arg-type]
        (LowRank(first_stage=6), "'first_stage' of LowRank must be an int from 0 to 5, got 6"),
        (Spatial(1.0), "'n_maps' of Spatial must be an int of at least 1, got 1.0"),  # type: ignore[arg-type]
        (SpatialFilm(True), "'n_maps' of SpatialFilm must be an int of at least 1, got True"),
        (Late(0), "'n_blocks' of Late must be an int from 1 to 8, got 0"),
        (Late(9), "'n_blocks' of Late must be an int from 1 to 8, got 9"),
    ],
)
def test_wrong_hyper_parameters_are_refused(conditioner, words):
    with pytest.raises(InvalidParameterError, match=words):
        quick(conditioner=conditioner).fit(np.eye(8).reshape(4, 4, 4), [0, 1, 0, 1])


def test_hyper_parameters_are_reached_through_the_estimator():
    clf = GenerativeBayesClassifier("low-rank").set_params(conditioner__rank=5)
    assert clf.get_params()["conditioner__rank"] == 5


def test_the_unconditional_classifier_returns_the_priors():
    X, y = load_digits(n_class=2, return_X_y=True)
    clf = quick(conditioner="unconditional", priors=[0.3, 0.7])
    np.testing.assert_allclose(clf.fit(X[:40], y[:40]).predict_proba(X[:2]), [[0.3, 0.7], [0.3, 0.7]])


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"unconditional"}))
def test_what_the_class_does_not_touch_is_computed_once(name):
    assert {"late": 0.5, "head": 0.9}.get(name, 0) <= shared_convolutions(name) < 1


def test_low_rank_shares_what_comes_before_its_first_stage():
    shares = [shared_convolutions(LowRank(first_stage=first)) for first in range(6)]
    assert shares == sorted(set(shares))


def shared_convolutions(conditioner):
    """The part of the convolutions that see 1 group, as all classes share them; all others see K."""
    groups = []
    built = model(conditioner)
    for module in built.network.modules():
        if type(module).__name__ == "WeightNormConv2d":
            module.register_forward_hook(lambda _module, inputs, _out: groups.append(len(inputs[0])))
    built.log_prob_per_class(torch.randint(5, (2, 1, 5, 7)), torch.arange(3))
    assert set(groups) == {1, 3}
    return groups.count(1) / len(groups)
