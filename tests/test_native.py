"""The kernels of our own compute what torch computes, and are compiled once, or not at all with a reason."""

from __future__ import annotations

import math
import pickle
import stat
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import make_labels, make_levels, make_model

from gencls import Modulation, list_conditioners, native
from gencls.native import functions
from gencls.pixelcnn import kernels
from gencls.pixelcnn.kernels import NATIVE, PLAIN, kernels_for

needs_compiler = pytest.mark.skipif(native.obstacle() is not None, reason=str(native.obstacle()))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(ours, reference, *inputs, tolerance=1e-5):
    """The same values and gradients as the reference has in float64, relative to the largest of each."""
    single = [values.clone().requires_grad_() for values in inputs]
    double = [values.double().requires_grad_() for values in inputs]
    found, expected = ours(*single), reference(*double)
    weights = noise(*expected.shape, seed=1)
    pairs = zip(
        (found, *torch.autograd.grad(found, single, weights)),
        (expected, *torch.autograd.grad(expected, double, weights.double())),
        strict=True,
    )
    for ours_is, reference_is in pairs:
        assert ours_is.shape == reference_is.shape
        assert (ours_is - reference_is).abs().max() <= tolerance * reference_is.abs().max()


def concat_elu(features):
    return F.elu(torch.cat([features, -features], dim=-1))


def to_pixels(values):
    return values[:, None, None]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize(
    ("size", "channels"),
    [((8, 8), (16, 24)), ((7, 5), (3, 9)), ((1, 1), (1, 1)), ((3, 13), (40, 80))],
    ids=str,
)
def test_convolution(size, channels, columns, threads):
    def reference(images, weight, bias):
        padded = F.pad(images.movedim(-1, 1), (1, columns - 2, 1, 0))
        return F.conv2d(padded, weight, bias).movedim(1, -1)

    n_in, n_out = channels
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_same(
            lambda images, weight, bias: functions.convolve(images, weight, bias, 1),
            reference,
            noise(5, *size, n_in),
            noise(n_out, n_in, 2, columns) / math.sqrt(n_in),
            noise(n_out),
        )
    finally:
        torch.set_num_threads(before)


@needs_compiler
@pytest.mark.parametrize("channels", [(16, 8), (5, 3)])
def test_linear(channels):
    n_in, n_out = channels
    parts = [noise(2, 9, 7, n_in, seed=seed) for seed in (0, 1)]
    weights = [noise(n_out, n_in, seed=seed) for seed in (2, 3)]
    assert_same(
        lambda bias, w, v, x, y: functions.linear([w, v], bias, [x, y]),
        lambda bias, w, v, x, y: x @ w.T + y @ v.T + bias,
        noise(n_out),
        *weights,
        *parts,
    )


@needs_compiler
def test_concat_elu():
    assert_same(functions.concat_elu, concat_elu, 3 * noise(2, 4, 5, 7))


@needs_compiler
def test_activation():
    hidden, added = noise(3, 4, 5, 7), noise(3, 4, 5, 7, seed=1)
    assert_same(functions.activate, concat_elu, hidden)
    assert_same(
        functions.activate,
        lambda h, scale, shift, a: concat_elu(h * to_pixels(scale) + to_pixels(shift) + a),
        *(hidden, noise(3, 7), noise(3, 7, seed=2), added),
    )


@needs_compiler
def test_gate():
    def reference(features, hidden, scale, shift):
        value, gate = (hidden * to_pixels(scale) + to_pixels(shift)).chunk(2, dim=-1)
        return features + value * torch.sigmoid(gate)

    features, hidden = noise(3, 4, 5, 7), noise(3, 4, 5, 14, seed=1)
    assert_same(functions.gate, reference, features, hidden, noise(3, 14), noise(3, 14, seed=2))
    alone = functions.gate(None, hidden)
    torch.testing.assert_close(alone, hidden[..., :7] * torch.sigmoid(hidden[..., 7:]))


@needs_compiler
@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("channels", [3, 24])
def test_a_linear_map_of_low_rank(rank, channels):
    def reference(features, left, right):
        return features + (features.flatten(1, 2) @ right.mT @ left.mT).view_as(features)

    left, right = noise(3, channels, rank, seed=1), noise(3, rank, channels, seed=2)
    assert_same(functions.mix, reference, noise(3, 4, 5, channels), left, right)


@needs_compiler
def test_extreme_and_missing_numbers_stay_what_they_are():
    values = torch.tensor([-torch.inf, -1e30, -87.5, -1e-8, 0.0, 1e-8, 90.0, 1e30, torch.inf, torch.nan])
    found = functions.concat_elu(values[None, None, None])[0, 0, 0]
    torch.testing.assert_close(found, concat_elu(values), equal_nan=True, rtol=1e-6, atol=1e-7)
    gates = torch.cat([torch.ones_like(values), values])[None, None, None]
    found = functions.gate(None, gates)[0, 0, 0]
    torch.testing.assert_close(found, torch.sigmoid(values), equal_nan=True, rtol=1e-6, atol=1e-7)


@needs_compiler
def test_dropout():
    hidden = noise(4, 16, 16, 40).requires_grad_()
    whole = functions.activate(hidden)
    dropped = functions.activate(hidden, dropout=0.3, n_different=2)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.01)
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.7, rtol=1e-4, atol=1e-6)
    assert torch.equal(kept[:2], kept[2:]), "images of one group and another lose the same features"
    assert not torch.equal(kept[0], kept[1])
    (gradient,) = torch.autograd.grad(dropped.sum(), hidden)
    lost = ~kept[..., :40] & ~kept[..., 40:]
    assert not gradient[lost].any()
    assert gradient[~lost].all()
    again, other = (functions.activate(hidden, dropout=0.3, key=key, n_different=2) for key in (0, 1))
    assert torch.equal(dropped, again)
    assert not torch.equal(dropped, other)


@needs_compiler
@pytest.mark.parametrize("image_shape", [(3, 8, 8), (1, 5, 7), (1, 2, 9), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("conditioner", list_conditioners())
def test_the_model_is_the_same(conditioner, image_shape):
    """Probabilities of an image's own class, of all classes and of some, and all gradients."""
    model = make_model(image_shape, 256, conditioner=conditioner, n_filters=6).float()
    levels, labels = make_levels(model), make_labels(model)
    found = []
    for compiled in (False, True):
        model.network.compiled = compiled
        model.zero_grad()
        log_prob = model(levels, labels)
        log_prob.sum().backward()
        gradients = [each.grad.flatten() for each in model.parameters() if each.grad is not None]
        others = model(levels, torch.stack([labels, (labels + 1) % model.n_classes]))
        every = model.log_prob_per_class(levels, torch.arange(model.n_classes))
        found.append([log_prob.detach(), others.detach(), every.detach(), torch.cat(gradients)])
    for plain, ours in zip(*found, strict=True):
        assert (plain - ours).abs().max() <= 1e-5 * plain.abs().max()


@needs_compiler
def test_a_checkpointed_model_loses_the_same_features_again():
    model = make_model((3, 8, 8), 256, n_filters=6, dropout=0.4).float().train()
    model.network.compiled = True
    levels, labels = make_levels(model), make_labels(model)
    found = []
    for checkpointed in (False, True):
        model.network.checkpoint(checkpointed)
        model.zero_grad()
        torch.manual_seed(0)
        model(levels, labels).sum().backward()
        found.append(torch.cat([each.grad.flatten() for each in model.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5 * found[0].abs().max().item())


@needs_compiler
def test_no_pixel_depends_on_a_later_one_by_more_than_rounding():
    model = make_model((3, 9, 9), 256, n_filters=8).float()
    model.network.compiled = True
    levels = make_levels(model)
    modulations = model.modulate_images(make_labels(model))
    changed = levels.clone()
    changed[:, :, 5, 4] = 255 - changed[:, :, 5, 4]
    with torch.no_grad():
        before, after = (
            model.network(model.likelihood.scale(each, torch.float32), modulations)
            for each in (levels, changed)
        )
    moved = (after - before).abs().amax(dim=(0, 1, 2)).flatten() / before.abs().max()
    pixel = 5 * 9 + 4
    assert moved[: pixel + 1].max() < 1e-5
    assert moved[pixel + 1 :].max() > 1e-3


@needs_compiler
def test_what_a_conditioner_gives_in_another_precision_or_for_one_channel_is_read_rightly():
    hidden = noise(1, 2, 6, 4, 4)
    odd = Modulation(shift=noise(1, 2, 6, 1, 1).double(), scale=noise(1, 2, 1, 1, 1))
    plain, ours = (
        each.gate(hidden[:, :, :3], each.activate(hidden[:, :, :3], (4, 4), Modulation(), None, 0.0, 0), odd)
        for each in (PLAIN, NATIVE)
    )
    torch.testing.assert_close(ours, plain)


@needs_compiler
def test_another_default_precision_makes_no_difference():
    model = make_model((1, 5, 5), 17).float()
    levels, labels = make_levels(model), make_labels(model)
    model.network.compiled = True
    functions._constant.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        found = model(levels, labels)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(model(levels, labels), found)


@needs_compiler
def test_no_images_have_no_gradient():
    model = make_model((1, 5, 5), 17).float()
    model.network.compiled = True
    model(make_levels(model)[:0], make_labels(model)[:0]).sum().backward()
    assert not any(each.grad.any() for each in model.parameters() if each.grad is not None)


@needs_compiler
def test_weights_are_initialised_as_without_compiled_kernels():
    plain, compiled = (make_model((1, 5, 5), 17).float() for _ in range(2))
    compiled.network.compiled = True
    for model in (plain, compiled):
        model.initialise(make_levels(model), make_labels(model))
    assert compiled.network.compiled
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert torch.equal(one, other)


@needs_compiler
def test_numbers_of_another_kind_are_never_read():
    with pytest.raises(TypeError, match=r"float32 on the CPU, got torch\.float64 on cpu"):
        functions.concat_elu(noise(1, 2, 2, 3).double())


def test_which_kernels_compute():
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert kernels_for(single, compiled=False) is PLAIN
    assert kernels_for(double, compiled=True) is PLAIN
    assert kernels_for(single.bfloat16(), compiled=True) is PLAIN
    assert kernels_for(single.to("meta"), compiled=True) is kernels.FUSED
    expected = NATIVE if native.obstacle() is None else PLAIN
    assert kernels_for(single, compiled=True) is expected


def test_a_compiled_model_works_where_there_is_no_compiler(monkeypatch):
    """It may have been pickled elsewhere."""
    model = make_model((1, 5, 5), 17).float()
    levels, labels = make_levels(model), make_labels(model)
    expected = model(levels, labels)
    model.network.compiled = True
    monkeypatch.setattr(kernels.native, "obstacle", lambda: "no compiler")
    assert torch.equal(pickle.loads(pickle.dumps(model))(levels, labels), expected)


# How they are compiled


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Nothing has been compiled yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    for function in (native.library, native.obstacle):
        function.cache_clear()
    yield tmp_path
    for function in (native.library, native.obstacle):
        function.cache_clear()


@needs_compiler
@pytest.mark.slow
def test_they_are_compiled_once_and_kept(fresh, monkeypatch):
    native.library()
    (kept,) = (fresh / "cache/gencls").iterdir()
    native.library.cache_clear()
    monkeypatch.setattr(native, "SOURCE", copy_of_source(fresh, ""))
    compiled = kept.stat().st_mtime_ns
    native.library()
    assert [kept] == list(kept.parent.iterdir())
    assert kept.stat().st_mtime_ns == compiled


def test_another_source_is_another_file(fresh, monkeypatch):
    """What an earlier version of the package made is left alone."""
    monkeypatch.setattr(native, "_run", pretend_to_compile)
    command = ["c++"]
    first = native._compiled(command)
    monkeypatch.setattr(native, "SOURCE", copy_of_source(fresh, "// another"))
    assert native._compiled(command) != first
    assert len(list(first.parent.iterdir())) == 2


def copy_of_source(folder: Path, addition: str) -> Path:
    path = folder / "kernels.cpp"
    path.write_text(native.SOURCE.read_text(encoding="utf-8") + addition, encoding="utf-8")
    return path


def pretend_to_compile(command):
    if "-o" in command:
        Path(command[-1]).write_bytes(b"compiled")
    return b"macros"


def test_a_compiler_that_is_not_there_is_named(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert native.obstacle() == "CompilerError: no-such-compiler was not found"


def test_what_a_compiler_says_is_passed_on_and_nothing_is_kept(fresh, monkeypatch):
    compiler = fresh / "broken"
    compiler.write_text("#!/bin/sh\ncase $* in *-dM*) exit 0;; esac\necho cannot do it >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(compiler))
    assert native.obstacle() == f"CompilerError: {compiler} said: cannot do it"
    assert not list((fresh / "cache/gencls").iterdir())


def test_without_a_home_there_are_no_kernels(fresh, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(native, "_run", pretend_to_compile)
    monkeypatch.setattr(native, "_find_compiler", lambda: "c++")
    monkeypatch.setattr(native.Path, "home", homeless)
    assert native.obstacle() == "RuntimeError: Could not determine home directory."


def test_a_file_that_cannot_be_loaded_is_an_obstacle(fresh, monkeypatch):
    monkeypatch.setattr(native, "_run", pretend_to_compile)
    monkeypatch.setattr(native, "_find_compiler", lambda: "c++")
    assert native.obstacle().startswith("OSError: ")
