"""How the network computes: in which precision, compiled or not, with features kept or computed again."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gencls import CompilationWarning, GenerativeBayesClassifier, InvalidParameterError, compilation, device
from gencls.device import Precision, resolve_precision
from gencls.pixelcnn.pointwise import MOST_VARIANTS, concat_elu, fused

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return train_test_split(X, y, train_size=300, test_size=100, stratify=y, random_state=0)


def fit(digits, **params):
    X, _, y, _ = digits
    settings = {"n_filters": 8, "n_mixtures": 2, "max_epochs": 2, "lr": 5e-3, "random_state": 0}
    return GenerativeBayesClassifier("film", **settings | params).fit(X, y)


@pytest.mark.parametrize("there", [True, False])
def test_auto_trains_in_bfloat16_where_the_hardware_has_it(there, monkeypatch):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: there)
    assert resolve_precision("auto", CPU) == Precision(torch.bfloat16 if there else None, None)


def test_names_say_what_they_mean():
    assert resolve_precision("float32", CPU) == Precision(None, None)
    assert resolve_precision("bfloat16", CPU) == Precision(torch.bfloat16, torch.bfloat16)
    assert isinstance(device._has_bfloat16(CPU), bool)
    assert not device._has_bfloat16(torch.device("meta"))


def test_only_features_are_bfloat16():
    model = make_model((3, 8, 8), 256).float()
    model.precision = Precision(prediction=torch.bfloat16)
    seen = []
    model.network.head.register_forward_hook(lambda _, inputs, out: seen.extend([inputs[0].dtype, out.dtype]))
    log_prob = model(make_levels(model), make_labels(model))
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert log_prob.dtype == torch.float64
    log_prob.sum().backward()
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}


def test_bfloat16_scores_are_near_those_in_float32(digits):
    clf = fit(digits, precision="float32")
    exact = clf.predict_joint_log_proba(digits[1])
    clf.net_.averaged_model.precision = Precision(prediction=torch.bfloat16)
    rough = clf.predict_joint_log_proba(digits[1])
    assert not np.array_equal(exact, rough)
    assert np.abs(rough - exact).max() < 0.02 * 64  # nats per dimension
    assert (exact.argmax(1) == rough.argmax(1)).mean() > 0.97


def test_training_in_bfloat16_learns_as_well(digits):
    _, X_test, _, y_test = digits
    scores = {name: fit(digits, precision=name, max_epochs=4) for name in ("float32", "bfloat16")}
    accuracy = [clf.score(X_test, y_test) for clf in scores.values()]
    bits = [clf.bits_per_dim(X_test, y_test) for clf in scores.values()]
    assert min(accuracy) > 0.8
    assert bits[0] == pytest.approx(bits[1], abs=0.02)


def test_with_auto_predictions_are_exact(digits):
    clf = fit(digits, precision="auto")
    assert clf.net_.averaged_model.precision.prediction is None


def test_checkpointing_learns_the_same(digits):
    """Up to the order in which gradients are summed: only without it are activations shared by blocks."""
    kept, again = fit(digits, dropout=0.2), fit(digits, dropout=0.2, checkpoint=True)
    np.testing.assert_allclose(
        kept.predict_joint_log_proba(digits[1]), again.predict_joint_log_proba(digits[1]), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"precision": "float16"}, r"'precision'.*'auto'.*'float32'.*'bfloat16'.*'float16'"),
        ({"compile": "yes"}, r"'compile'"),
        ({"checkpoint": 3}, r"'checkpoint'"),
    ],
)
def test_other_values_are_refused(digits, params, message):
    with pytest.raises(InvalidParameterError, match=message):
        fit(digits, **params)


def test_without_a_compiler_there_is_one_warning_and_the_same_result(digits, monkeypatch):
    monkeypatch.setattr(compilation, "_obstacle", lambda _: "InvalidCxxCompiler: none found")
    with pytest.warns(CompilationWarning, match="compile=True has no effect.*none found") as found:
        clf = fit(digits, compile=True)
    assert len([each for each in found if each.category is CompilationWarning]) == 1
    np.testing.assert_array_equal(
        clf.predict_joint_log_proba(digits[1]), fit(digits).predict_joint_log_proba(digits[1])
    )


def test_what_is_wrong_with_the_compiler_is_said(monkeypatch):
    def broken(function):
        raise RuntimeError("no g++\nand more")

    def silent(function):
        raise NotImplementedError

    for compiler, reason in ((broken, "RuntimeError: no g++"), (silent, "NotImplementedError: ")):
        compilation._obstacle.cache_clear()
        monkeypatch.setattr(torch, "compile", compiler)
        assert compilation._obstacle("cpu") == reason
    compilation._obstacle.cache_clear()


@pytest.mark.parametrize(
    ("device_type", "precision", "compilers"),
    [
        ("cpu", Precision(), ["native"]),
        ("cpu", Precision(training=torch.bfloat16), ["cpu", "native"]),
        ("cpu", Precision(torch.bfloat16, torch.bfloat16), ["cpu"]),
        ("cuda", Precision(training=torch.bfloat16), ["cuda"]),
    ],
)
def test_which_compilers_are_needed(device_type, precision, compilers):
    assert compilation._compilers(torch.device(device_type), precision) == compilers


def skip_without(compiler):
    if (reason := compilation._obstacle(compiler)) is not None:
        pytest.skip(reason)


def test_compiled_it_scores_the_same(digits):
    skip_without("native")
    clf = fit(digits, max_epochs=1, n_filters=4)
    expected = clf.predict_joint_log_proba(digits[1])
    clf.net_.compute_with("float32", compile=True, checkpoint=False)
    found = clf.predict_joint_log_proba(digits[1])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_joint_log_proba(digits[1]), found)


def test_compiled_it_learns_the_same(digits):
    """But for dropout, which is other chance."""
    skip_without("native")
    plain, compiled = (
        fit(digits, n_filters=4, dropout=0.0, compile=each).predict_joint_log_proba(digits[1])
        for each in (False, True)
    )
    assert not np.array_equal(plain, compiled)
    np.testing.assert_allclose(compiled, plain, atol=1e-4 * 64)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_torch_compiles_what_our_kernels_are_not_for(training):
    """Those are for float32 alone."""
    skip_without("cpu")
    model = make_model((3, 5, 6), 256, conditioner="strong", dropout=0.2 if training else 0.0).train(training)
    levels, labels = make_levels(model), make_labels(model)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own
        for compiled in (False, True):
            model.network.compiled = compiled
            model.zero_grad()
            torch.manual_seed(0)
            log_prob = model(levels, labels)
            log_prob.sum().backward()
            gradients = [each.grad.flatten() for each in model.parameters()]
            found.append(torch.cat([log_prob.detach(), *gradients]))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_compiled_function_has_variants_enough():
    """Also in threads that come later: what torch's compiler is told counts in one thread alone."""

    def limit():
        fused(concat_elu)
        return torch._dynamo.config.cache_size_limit

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own
        assert limit() >= MOST_VARIANTS
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(limit).result() >= MOST_VARIANTS
