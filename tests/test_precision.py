"""Computation settings: precision, compilation and gradient checkpointing."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make_labels, make_levels, make_model
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from small import PLAIN as LIKELIHOOD

from gencls import CompilationWarning, Compute, GenerativeBayesClassifier, InvalidParameterError, Modulation
from gencls.backends import compilation, device, native
from gencls.backends.compilation import MOST_VARIANTS, fused
from gencls.backends.compute import make_compute
from gencls.backends.device import PRECISIONS, Precision, resolve_precision
from gencls.pixelcnn import Execution, network, operations
from gencls.pixelcnn.operations import FUSED, PLAIN
from gencls.pixelcnn.pointwise import activate, concat_elu, gate

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return train_test_split(X, y, train_size=300, test_size=100, stratify=y, random_state=0)


@pytest.fixture(scope="module")
def middles(digits):
    """The central 4×4 pixels of a few digits, for tests that need no accuracy."""
    X, X_test, y, y_test = digits
    X, X_test = (each.reshape(-1, 8, 8)[:, 2:6, 2:6] for each in (X, X_test))
    return X[:100], X_test, y[:100], y_test


def plainly(**settings):
    return Compute(compile=False, **settings)


def fit(data, **params):
    X, _, y, _ = data
    settings: dict[str, Any] = {
        "n_filters": 8,
        "n_mixtures": 2,
        "max_epochs": 2,
        "lr": 5e-3,
        "random_state": 0,
    }
    settings |= {"conditioner": "film", "device": "cpu", "compute": "plain"}
    return GenerativeBayesClassifier(**LIKELIHOOD | settings | params).fit(X, y)


@pytest.mark.parametrize("there", [True, False])
def test_auto_trains_in_bfloat16_where_the_hardware_has_it(there, monkeypatch):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: there)
    assert resolve_precision("auto", CPU) == Precision(torch.bfloat16 if there else None, None)


def test_precisions_by_name():
    assert resolve_precision("float32", CPU) == Precision(None, None)
    assert resolve_precision("bfloat16", CPU) == Precision(torch.bfloat16, torch.bfloat16)
    assert isinstance(device._has_bfloat16(CPU), bool)
    assert not device._has_bfloat16(torch.device("meta"))


def test_only_features_are_bfloat16():
    model = make_model((3, 8, 8), 256).float()
    seen = []
    model.network.head.register_forward_hook(lambda _, inputs, out: seen.extend([inputs[0].dtype, out.dtype]))
    log_prob = model(make_levels(model), make_labels(model), Execution(dtype=torch.bfloat16))
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert log_prob.dtype == torch.float64
    log_prob.sum().backward()
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}


def test_bfloat16_scores_are_close_to_float32_scores(digits):
    clf = fit(digits)
    exact = clf.predict_joint_log_proba(digits[1])
    rough = clf.set_params(compute=plainly(precision="bfloat16")).predict_joint_log_proba(digits[1])
    assert not np.array_equal(exact, rough)
    assert np.abs(rough - exact).max() < 0.02 * 64  # nats per dimension
    assert (exact.argmax(1) == rough.argmax(1)).mean() >= 0.9  # processors round differently: .95 to .99


def test_training_in_bfloat16_learns_as_well(digits):
    _, X_test, _, y_test = digits
    fits = [fit(digits, compute=plainly(precision=each), max_epochs=4) for each in ("float32", "bfloat16")]
    bits = [clf.bits_per_dim(X_test, y_test) for clf in fits]
    assert min(clf.score(X_test, y_test) for clf in fits) > 0.8
    assert bits[0] == pytest.approx(bits[1], abs=0.02)


def test_auto_predicts_in_float32(middles, monkeypatch):
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    clf = fit(middles, compute=plainly(precision="auto"), max_epochs=1)
    found = clf.predict_joint_log_proba(middles[1])
    expected = clf.set_params(compute="plain").predict_joint_log_proba(middles[1])
    np.testing.assert_array_equal(found, expected)
    trained_exactly = fit(middles, max_epochs=1).predict_joint_log_proba(middles[1])
    assert not np.array_equal(found, trained_exactly)


def test_checkpointing_learns_the_same(middles):
    """Up to the order of gradient sums: only without checkpointing do blocks share activations."""
    found = [
        fit(middles, dropout=0.2, compute=plainly(gradient_checkpointing=each)).predict_joint_log_proba(
            middles[1]
        )
        for each in (False, True)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "float16"), ("compile", "yes"), ("gradient_checkpointing", 3)]
)
def test_wrong_parameters_of_compute_are_refused(name, value, middles):
    with pytest.raises(InvalidParameterError, match=f"'{name}' of Compute .* got {value!r}"):
        fit(middles, compute=Compute().set_params(**{name: value}))


@pytest.mark.parametrize("value", ["fast", None, Compute, True], ids=str)
def test_other_ways_to_compute_are_refused(value, middles):
    with pytest.raises(InvalidParameterError, match=r"'compute' of GenerativeBayesClassifier .*'auto'"):
        fit(middles, compute=value)


def test_auto_compiles_and_plain_does_not():
    assert make_compute("auto").get_params() == Compute().get_params()
    assert make_compute("plain").get_params() == Compute(compile=False).get_params()
    assert GenerativeBayesClassifier().compute == "auto"


def test_a_missing_compiler_causes_one_warning_and_the_same_result(middles, monkeypatch):
    expected = fit(middles, max_epochs=1).predict_joint_log_proba(middles[1])
    monkeypatch.setattr(native, "why_unavailable", lambda: "CompilerError: none found")
    with pytest.warns(CompilationWarning, match="compile=True.*none found.*compiler") as found:
        clf = fit(middles, max_epochs=1, compute=Compute())
    assert len(found) == 1
    silent = fit(middles, max_epochs=1, compute="auto")
    for each in (clf, silent):
        np.testing.assert_array_equal(each.predict_joint_log_proba(middles[1]), expected)


def test_the_error_of_the_compiler_is_reported(monkeypatch):
    def broken(function, **options):
        raise RuntimeError("no g++\nand more")

    def silent(function, **options):
        raise NotImplementedError

    for compiler, reason in ((broken, "RuntimeError: no g++"), (silent, "NotImplementedError: ")):
        compilation._why_uncompilable.cache_clear()
        compilation._compiled.cache_clear()
        monkeypatch.setattr(torch, "compile", compiler)
        assert compilation._why_uncompilable("cpu") == reason
    compilation._why_uncompilable.cache_clear()
    compilation._compiled.cache_clear()


@pytest.mark.parametrize("has_bfloat16", [True, False])
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_resolved_precision_and_kernels(precision, wanted, works, has_bfloat16, monkeypatch):
    """On every processor, with and without a compiler."""
    monkeypatch.setattr(native, "why_unavailable", lambda: None if works else "none")
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: has_bfloat16)
    says = pytest.warns(CompilationWarning) if wanted and not works else nullcontext()
    with says:
        found, compiled = compilation.choose_way(precision, CPU, compile=wanted)
    assert compiled == (wanted and works)
    rough = precision == "bfloat16"
    auto = precision == "auto" and has_bfloat16 and not compiled
    assert found == Precision(torch.bfloat16 if rough or auto else None, torch.bfloat16 if rough else None)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_compiler_of_torch_is_used_on_a_gpu_for_every_precision(precision, monkeypatch):
    monkeypatch.setattr(compilation, "_why_uncompilable", lambda device_type: None)
    monkeypatch.setattr(native, "why_unavailable", lambda: "none")
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: True)
    found, compiled = compilation.choose_way(precision, torch.device("cuda"), compile=True)
    assert compiled
    assert found.training is (None if precision == "float32" else torch.bfloat16)


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_every_setting_learns_on_every_processor(
    precision, compiled, checkpointed, has_bfloat16, middles, monkeypatch
):
    if compiled:
        skip_without_native()
    monkeypatch.setattr(device, "_has_bfloat16", lambda _: has_bfloat16)
    X, _, y, _ = middles
    compute = Compute(precision, compiled, gradient_checkpointing=checkpointed)
    clf = GenerativeBayesClassifier(
        "strong", n_filters=3, n_mixtures=1, max_epochs=1, dropout=0.2, device="cpu", compute=compute
    ).fit(X[:20], y[:20])
    assert np.isfinite(clf.predict_joint_log_proba(X[:5])).all()
    assert len(clf.sample(2, random_state=0)[0]) == 2


def skip_without_native():
    if (reason := native.why_unavailable()) is not None:
        pytest.skip(reason)


def test_compiled_scores_are_the_same(middles):
    """`compute` is read at each call, and may change after `fit`."""
    skip_without_native()
    clf = fit(middles, max_epochs=1, n_filters=4)
    expected = clf.predict_joint_log_proba(middles[1])
    found = clf.set_params(compute=Compute()).predict_joint_log_proba(middles[1])
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_joint_log_proba(middles[1]), found)
    back = clf.set_params(compute="plain").predict_joint_log_proba(middles[1])
    np.testing.assert_array_equal(back, expected)


def test_compiled_training_is_the_same(middles):
    """Except for dropout, whose masks differ."""
    skip_without_native()
    plain, compiled = (
        fit(middles, n_filters=4, dropout=0.0, compute=Compute(compile=each)).predict_joint_log_proba(
            middles[1]
        )
        for each in (False, True)
    )
    assert not np.array_equal(plain, compiled)
    np.testing.assert_allclose(compiled, plain, atol=1e-4 * 16)


@pytest.fixture
def fused_on_a_cpu(monkeypatch):
    """Use the fused operations of a GPU on this CPU."""
    if (reason := compilation._why_uncompilable("cpu")) is not None:
        pytest.skip(reason)
    monkeypatch.setattr(network, "operations_for", lambda _, compiled: FUSED if compiled else PLAIN)


def test_warnings_as_errors_do_not_abort_the_compiler_of_torch(fused_on_a_cpu):
    """In training, features are not leaf tensors, which triggers a warning inside the compiler."""
    features = torch.zeros(1, 2, 3, 4, 5, requires_grad=True)
    for _ in range(2):
        FUSED.concat_elu(features * 2).sum().backward()
        warnings.simplefilter("error")  # in front of ours
    assert warnings.filters[0][0] == "error"
    with pytest.raises(UserWarning, match="non-leaf"):
        (features * 2).grad  # noqa: B018  # what the user does is still warned of


def test_torch_compiles_the_operations_between_convolutions(monkeypatch):
    """In the whole network, with a substitute for the compiler, which takes a minute."""
    asked = []

    def note(function):
        asked.append(function)
        return function

    monkeypatch.setattr(operations, "fused", note)
    monkeypatch.setattr(network, "operations_for", lambda _, compiled: FUSED if compiled else PLAIN)
    model = make_model((1, 5, 4), 256, conditioner="film")
    levels, labels = make_levels(model), make_labels(model)
    expected = model(levels, labels)
    assert not asked
    assert torch.equal(model(levels, labels, Execution(compiled=True)), expected)
    assert set(asked) == {activate, concat_elu, gate}


@pytest.mark.slow
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_compiled_operations_have_the_same_gradients(dropout, fused_on_a_cpu):
    """With respect to all inputs of a block, in float64."""
    shapes = {"features": (1, 2, 3, 4, 5), "hidden": (1, 2, 3, 5, 6), "added": (1, 2, 3, 4, 5)}
    parts = {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    parts |= {name: torch.randn(2, 2, 3, 1, 1, dtype=torch.float64) for name in ("scale", "shift")}
    for part in parts.values():
        part.requires_grad_()
    modulation = Modulation(shift=parts["shift"], scale=parts["scale"])
    found = []
    for way in (PLAIN, FUSED):
        hidden = way.activate(parts["hidden"] * 2, (4, 5), modulation, parts["added"], dropout, 7)
        gated = way.gate(parts["features"], hidden, Modulation())
        gradients = torch.autograd.grad(gated.square().sum(), list(parts.values()))
        found.append(torch.cat([each.flatten() for each in (gated, *gradients)]))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_torch_compiles_features_in_bfloat16(fused_on_a_cpu):
    """With one group expanded to several, as at the first class-dependent block, and a float32 modulation."""
    features = torch.randn(1, 2, 3, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    hidden = torch.randn(1, 2, 6, 5, 5, dtype=torch.bfloat16)
    modulation = Modulation(shift=torch.randn(2, 2, 6, 1, 1))
    found = []
    for way in (PLAIN, FUSED):
        gated = way.gate(features * 2, hidden, modulation)
        (gradient,) = torch.autograd.grad(gated.sum(), features)
        found.append(torch.cat([gated.flatten(), gradient.flatten()]))
    torch.testing.assert_close(*found, rtol=0.02, atol=0.02)


@pytest.mark.slow
def test_compiled_functions_may_have_many_variants():
    """Also in later threads, because the settings of the compiler of torch are per thread."""

    def limit():
        fused(concat_elu)
        return torch._dynamo.config.cache_size_limit

    assert limit() >= MOST_VARIANTS
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(limit).result() >= MOST_VARIANTS
