"""The native kernels agree with torch and are compiled once; a failed compilation has a reason."""

from __future__ import annotations

import functools
import math
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import REPRESENTATIVE, make_labels, make_levels, make_model

from gencls import Modulation
from gencls.backends import native
from gencls.backends.native import block, cache, calls, functions
from gencls.pixelcnn import Execution, operations
from gencls.pixelcnn.operations import NATIVE, PLAIN, operations_for

COMPILED = Execution(compiled=True)

needs_compiler = pytest.mark.skipif(
    native.why_unavailable() is not None, reason=str(native.why_unavailable())
)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(ours, reference, *inputs, tolerance=1e-5):
    """Compare values and gradients with a float64 reference, relative to the largest of each."""
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


# Options that make other kernels of the same source than this processor would get, and what it must have.
VARIANTS = {
    "this processor": (native.compiler.CHOICES[0], None),
    "baseline without OpenMP": ((), None),
    "8 lanes": (("-march=native", "-fopenmp", "-DGENCLS_LANES=8"), None),
    "16 lanes": (("-march=native", "-fopenmp", "-DGENCLS_LANES=16"), None),
    "AVX2": (("-march=x86-64-v3", "-fopenmp"), {"AVX2", "AVX512"}),
    "AVX-512": (("-march=x86-64-v4", "-fopenmp"), {"AVX512"}),
}


@functools.cache
def built(variant):
    options, capabilities = VARIANTS[variant]
    if capabilities is not None and torch.backends.cpu.get_cpu_capability() not in capabilities:
        return None
    return native.build(native.compiler.compilers()[0], options)


@pytest.fixture(params=VARIANTS)
def variant(request, monkeypatch):
    """Kernels compiled for several types of processors."""
    if (found := built(request.param)) is None:
        pytest.skip("this processor lacks the instructions")
    monkeypatch.setattr(calls, "library", lambda: found)
    return request.param


@pytest.fixture
def with_threads():
    """Set the number of torch threads temporarily."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def concat_elu(features):
    return F.elu(torch.cat([features, -features], dim=-1))


def to_pixels(values):
    return values[:, None, None]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3, 7])
@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize(
    ("size", "channels"),
    [
        ((8, 8), (16, 24)),
        ((7, 5), (3, 9)),
        ((1, 1), (1, 1)),
        ((2, 2), (40, 24)),
        ((3, 13), (40, 80)),
        ((1, 9), (17, 20)),
    ],
    ids=str,
)
def test_convolution(size, channels, columns, threads, with_threads, variant):
    def reference(images, weight, bias):
        padded = F.pad(images.movedim(-1, 1), (1, columns - 2, 1, 0))
        return F.conv2d(padded, weight, bias).movedim(1, -1)

    n_in, n_out = channels
    with_threads(threads)
    assert_same(
        lambda images, weight, bias: functions.convolve(images, weight, bias, 1),
        reference,
        noise(5, *size, n_in),
        noise(n_out, n_in, 2, columns) / math.sqrt(n_in),
        noise(n_out),
    )


@needs_compiler
@pytest.mark.parametrize("channels", [(16, 8), (5, 3)])
def test_linear(channels, variant):
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
def test_concat_elu(variant):
    assert_same(functions.concat_elu, concat_elu, 3 * noise(2, 4, 5, 7))


@needs_compiler
def test_activation(variant):
    hidden, added = noise(3, 4, 5, 7), noise(3, 4, 5, 7, seed=1)
    assert_same(functions.activate, concat_elu, hidden)
    assert_same(
        functions.activate,
        lambda h, scale, shift, a: concat_elu(h * to_pixels(scale) + to_pixels(shift) + a),
        *(hidden, noise(3, 7), noise(3, 7, seed=2), added),
    )


@needs_compiler
def test_gate(variant):
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
def test_a_low_rank_linear_map(rank, channels, variant):
    def reference(features, left, right):
        return features + (features.flatten(1, 2) @ right.mT @ left.mT).view_as(features)

    left, right = noise(3, channels, rank, seed=1), noise(3, rank, channels, seed=2)
    assert_same(functions.mix, reference, noise(3, 4, 5, channels), left, right)


@needs_compiler
def test_weight_normalisation(variant):
    shapes = (5, 3, 2, 3), (4, 17, 1, 1)
    assert_same(
        lambda *operands: torch.cat(
            [each.flatten() for each in functions.normalise(operands[:2], operands[2:])]
        ),
        lambda v, w, g, h: torch.cat(
            [
                torch._weight_norm(each, gain, 0).flatten()
                for each, gain in ((v, to_filters(g)), (w, to_filters(h)))
            ]
        ),
        *(noise(*shape) for shape in shapes),
        *(noise(shape[0], seed=1) for shape in shapes),
    )


def to_filters(values):
    return values[:, None, None, None]


def convolved(features, weight, bias):
    """Features (G, N, F, H, W) and filters with one column on the left."""
    padded = F.pad(features.flatten(0, 1), (1, weight.shape[-1] - 2, 1, 0))
    return F.conv2d(padded, weight, bias).unflatten(0, features.shape[:2])


def block_of_torch(filters, first, second, features, activated, *shortcuts):
    def modulated(hidden, effect):
        if effect.left is not None:
            hidden = hidden + torch.einsum("gnfr,gnrc,gnchw->gnfhw", effect.left, effect.right, hidden)
        hidden = hidden if effect.scale is None else hidden * effect.scale
        return hidden if effect.shift is None else hidden + effect.shift

    hidden = modulated(convolved(activated, filters.first, filters.first_bias), first)
    if shortcuts:
        halves = [each.expand(len(features), -1, -1, -1, -1).chunk(2, dim=2) for each in shortcuts]
        joined = torch.cat([each[half] for half in (0, 1) for each in halves], dim=2).flatten(0, 1)
        joined = F.conv2d(joined, filters.shortcut, filters.shortcut_bias)
        hidden = hidden + joined.unflatten(0, hidden.shape[:2])
    hidden = F.elu(torch.cat([hidden, -hidden], dim=2))
    value, gate = modulated(convolved(hidden, filters.second, filters.second_bias), second).chunk(2, dim=2)
    out = features + value * gate.sigmoid()
    return out, F.elu(torch.cat([out, -out], dim=2))


def operands_of_a_block(n_shortcuts, parts, *, shared=False, columns=3, channels=6, size=(4, 3)):
    """Filters and effects of a block with these parts of a modulation, then its features."""
    groups, F2 = (2, 3), 2 * channels
    shapes = [
        *((channels, F2, 2, columns), (channels,), (F2, F2, 2, columns), (F2,)),
        *((channels, F2 * n_shortcuts, 1, 1), (channels,)),
    ]
    filters = [
        noise(*shape, seed=seed) / math.prod(shape[1:]) ** 0.5
        for seed, shape in enumerate(shapes)
        if all(shape)
    ]
    effects = []
    for seed, width in enumerate((channels, F2), start=6):
        every = {
            "scale": noise(*groups, width, 1, 1, seed=seed),
            "shift": noise(*groups, width, 1, 1, seed=seed + 1),
            "left": noise(*groups, width, 2, seed=seed + 2) / 2,
            "right": noise(*groups, 2, width, seed=seed + 3) / width**0.5,
        }
        effects += [every[name] if name in parts else None for name in block.Effect._fields]
    widths = channels, F2, *[F2] * n_shortcuts
    features = [noise(*groups, width, *size, seed=seed) for seed, width in enumerate(widths, start=20)]
    if shared:
        features[-1] = features[-1][:1]
    if not n_shortcuts:
        filters[4:] = [None, None]
    return [*filters, *effects, *features]


@needs_compiler
@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)], ids=["result", "activation", "both"])
@pytest.mark.parametrize(
    ("n_shortcuts", "shared"), [(0, False), (1, False), (2, False), (1, True), (2, True)], ids=str
)
@pytest.mark.parametrize("parts", [(), ("shift", "left", "right"), ("scale", "shift")], ids=str)
def test_a_block(parts, n_shortcuts, shared, wanted, variant):
    operands = operands_of_a_block(n_shortcuts, parts, shared=shared)

    def run(implementation):
        def called(*given):
            remaining = iter(given)
            every: list[Any] = [None if each is None else next(remaining) for each in operands]
            filters, effects = (
                block.Filters(*every[:6]),
                (block.Effect(*every[6:10]), block.Effect(*every[10:14])),
            )
            found = implementation(filters, *effects, *every[14:])
            return torch.cat([found[number] for number in wanted], dim=2)

        return called

    def ours(filters, first, second, features, activated, *shortcuts):
        return block.gated_block(features, activated, shortcuts, filters, first, second, left=1)

    given = [each for each in operands if each is not None]
    assert_same(run(ours), run(block_of_torch), *given)
    with torch.no_grad():
        without_gradients = run(ours)(*given)
    torch.testing.assert_close(run(ours)(*given), without_gradients)


@needs_compiler
def test_extreme_values_and_nan_are_preserved(variant):
    values = torch.tensor([-torch.inf, -1e30, -87.5, -1e-8, 0.0, 1e-8, 90.0, 1e30, torch.inf, torch.nan])
    found = functions.concat_elu(values[None, None, None])[0, 0, 0]
    torch.testing.assert_close(found, concat_elu(values), equal_nan=True, rtol=1e-6, atol=1e-7)
    gates = torch.cat([torch.ones_like(values), values])[None, None, None]
    found = functions.gate(None, gates)[0, 0, 0]
    torch.testing.assert_close(found, torch.sigmoid(values), equal_nan=True, rtol=1e-6, atol=1e-7)


@needs_compiler
def test_dropout(variant):
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
@pytest.mark.parametrize("conditioner", [*REPRESENTATIVE, "unconditional"])
def test_the_model_is_the_same(conditioner, image_shape):
    """Probabilities of the true class, of all classes and of some classes, and all gradients."""
    model = make_model(image_shape, 256, conditioner=conditioner, n_filters=6).float()
    levels, labels = make_levels(model), make_labels(model)
    found = []
    for execution in (Execution(), COMPILED):
        model.zero_grad()
        log_prob = model(levels, labels, execution)
        log_prob.sum().backward()
        gradients = [each.grad.flatten() for each in model.parameters() if each.grad is not None]
        others = model(levels, torch.stack([labels, (labels + 1) % model.n_classes]), execution)
        every = model.log_prob_per_class(levels, torch.arange(model.n_classes), execution=execution)
        found.append([log_prob.detach(), others.detach(), every.detach(), torch.cat(gradients)])
    for plain, ours in zip(*found, strict=True):
        assert (plain - ours).abs().max() <= 1e-5 * plain.abs().max()


@needs_compiler
def test_the_model_is_the_same_on_every_processor_and_with_more_threads_than_cores(variant, with_threads):
    model = make_model((3, 9, 6), 256, conditioner="film", n_filters=6).float()
    levels, labels = make_levels(model, 20), make_labels(model, 20)
    expected = model(levels, labels)
    for threads in (1, 7):
        with_threads(threads)
        torch.testing.assert_close(model(levels, labels, COMPILED), expected, rtol=1e-5, atol=0)


@needs_compiler
def test_a_checkpointed_model_drops_the_same_features_again():
    model = make_model((3, 8, 8), 256, n_filters=6).float()
    levels, labels = make_levels(model), make_labels(model)
    found = []
    for checkpointed in (False, True):
        generator = torch.Generator().manual_seed(0)
        model.zero_grad()
        way = Execution(compiled=True, dropout=0.4, checkpointed=checkpointed, generator=generator)
        model(levels, labels, way).sum().backward()
        found.append(torch.cat([each.grad.flatten() for each in model.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5 * found[0].abs().max().item())


@needs_compiler
def test_pixels_depend_on_later_pixels_at_most_by_rounding():
    model = make_model((3, 9, 9), 256, n_filters=8).float()
    levels = make_levels(model)
    modulations = model.modulate_images(make_labels(model))
    changed = levels.clone()
    changed[:, :, 5, 4] = 255 - changed[:, :, 5, 4]
    with torch.no_grad():
        before, after = (
            model.network(model.likelihood.scale(each, torch.float32), modulations, COMPILED)
            for each in (levels, changed)
        )
    moved = (after - before).abs().amax(dim=(0, 1, 2)).flatten() / before.abs().max()
    pixel = 5 * 9 + 4
    assert moved[: pixel + 1].max() < 1e-5
    assert moved[pixel + 1 :].max() > 1e-3


@needs_compiler
def test_modulations_in_a_different_precision_or_for_one_channel_are_converted():
    hidden = noise(1, 2, 6, 4, 4)
    odd = Modulation(shift=noise(1, 2, 6, 1, 1).double(), scale=noise(1, 2, 1, 1, 1))
    plain, ours = (
        each.gate(hidden[:, :, :3], each.activate(hidden[:, :, :3], (4, 4), Modulation(), None, 0.0, 0), odd)
        for each in (PLAIN, NATIVE)
    )
    torch.testing.assert_close(ours, plain)


@needs_compiler
def test_a_different_default_dtype_makes_no_difference():
    model = make_model((1, 5, 5), 17).float()
    levels, labels = make_levels(model), make_labels(model)
    torch.set_default_dtype(torch.float64)
    try:
        found = model(levels, labels, COMPILED)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(model(levels, labels, COMPILED), found)


@needs_compiler
def test_empty_batches():
    model = make_model((1, 5, 5), 17).float()
    model(make_levels(model)[:0], make_labels(model)[:0], COMPILED).sum().backward()
    assert not any(each.grad.any() for each in model.parameters() if each.grad is not None)


@needs_compiler
def test_tensors_of_a_different_dtype_are_refused():
    with pytest.raises(TypeError, match=r"float32 .* torch\.float64"):
        functions.concat_elu(noise(1, 2, 2, 3).double())


def test_the_selected_operations():
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert operations_for(single, compiled=False) is PLAIN
    assert operations_for(double, compiled=True) is PLAIN
    assert operations_for(single.bfloat16(), compiled=True) is PLAIN
    assert operations_for(single.to("meta"), compiled=True) is operations.FUSED
    expected = NATIVE if native.why_unavailable() is None else PLAIN
    assert operations_for(single, compiled=True) is expected


def test_torch_is_used_without_a_compiler(monkeypatch):
    model = make_model((1, 5, 5), 17).float()
    levels, labels = make_levels(model), make_labels(model)
    monkeypatch.setattr(native, "why_unavailable", lambda: "no compiler")
    assert torch.equal(model(levels, labels, COMPILED), model(levels, labels))


# How they are compiled, and kept


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    for function in (native.library, native.why_unavailable):
        function.cache_clear()
    yield tmp_path
    for function in (native.library, native.why_unavailable):
        function.cache_clear()


@pytest.fixture
def quick(fresh, monkeypatch):
    """The same kernels without optimisation, which compile quickly."""
    monkeypatch.setattr(native.compiler, "FLAGS", ["-std=c++17", "-O0", "-shared", "-fPIC"])
    return fresh


def kept(fresh):
    return sorted((fresh / "cache/gencls").iterdir())


def folder_of_caches() -> Path:
    """Where libraries are kept here."""
    found = cache.folder()
    assert found is not None
    return found


def load_again():
    native.library.cache_clear()
    return native.library()


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@needs_compiler
def test_kernels_are_compiled_once_and_cached(quick, monkeypatch):
    native.library()
    (library,) = kept(quick)
    monkeypatch.setattr(native.compiler.Compiler, "compile", None)
    load_again()
    assert kept(quick) == [library]
    assert stat.S_IMODE(library.stat().st_mode) == 0o600
    assert stat.S_IMODE(library.parent.stat().st_mode) == 0o700


@needs_compiler
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_library_is_compiled_again(share, quick):
    """Loading it would crash the process."""
    native.library()
    (library,) = kept(quick)
    whole = library.read_bytes()
    library.unlink()
    library.write_bytes(whole[: int(share * len(whole))])
    for _ in range(2):
        load_again()
        assert len(kept(quick)) == 1
        assert kept(quick)[0].read_bytes() == whole


@needs_compiler
def test_modified_and_exchanged_libraries_are_detected(quick):
    native.library()
    (library,) = kept(quick)
    whole = library.read_bytes()
    library.unlink()
    library.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    load_again()
    assert kept(quick)[0].read_bytes() == whole


def test_a_different_source_has_a_different_file(fresh, monkeypatch):
    """The library of an earlier version of the package is kept."""
    monkeypatch.setattr(native.compiler.Compiler, "_run", lambda self, arguments, seconds: b"macros")
    compiler = native.compiler.Compiler(["c++"])
    key = compiler.key(())
    assert compiler.key(("-march=native",)) != key
    path = fresh / "kernels.cpp"
    path.write_text("// another", encoding="utf-8")
    monkeypatch.setattr(native.compiler, "SOURCE", path)
    assert compiler.key(()) != key


def test_a_different_processor_has_a_different_file(monkeypatch):
    """The machines of a cluster may share home folders."""
    keys = set()
    for predefined in (b"#define __AVX2__ 1", b"#define __AVX2__ 1\n#define __AVX512F__ 1"):
        monkeypatch.setattr(native.compiler.Compiler, "_run", lambda *_, said=predefined: said)
        keys.add(native.compiler.Compiler(["c++"]).key(("-march=native",)))
    assert len(keys) == 2


@needs_compiler
def test_the_compiler_names_the_extensions_of_a_processor():
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("x86 processors of the last years only")
    compiler = native.compiler.compilers()[0]
    assert len({compiler.key((f"-march={name}",)) for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4")}) == 3
    assert b"__AVX2__" in compiler._run(["-march=native", "-dM", "-E", "-x", "c++", os.devnull], 60)


# Where they are kept

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")


@posix
def test_a_folder_of_a_different_user_is_not_used(fresh, monkeypatch):
    assert cache.folder() == fresh / "cache/gencls"
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.folder() is None


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(mode, fresh):
    folder_of_caches().chmod(mode)
    assert cache.folder() is None


@posix
@pytest.mark.parametrize(("mode", "safe"), [(0o777, False), (0o1777, True), (0o755, True), (0o770, False)])
def test_a_folder_that_others_can_replace_is_not_used(mode, safe, fresh):
    (fresh / "cache").mkdir()
    (fresh / "cache").chmod(mode)
    assert (cache.folder() is not None) == safe
    assert (fresh / "cache/gencls").exists() == safe, "nothing is left in a folder that is not used"


@posix
def test_links_are_not_followed(fresh):
    key, elsewhere = "0" * 16, fresh / "elsewhere"
    cache.keep(key, b"library")
    (path,) = kept(fresh)
    assert cache.find(key) == path
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.find(key) is None
    assert elsewhere.read_bytes() == b"library"
    path.parent.rename(fresh / "moved")
    path.parent.symlink_to(fresh / "moved")
    assert cache.folder() is None


@posix
@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_file_that_others_can_write_to_is_not_used(mode, fresh):
    key = "0" * 16
    cache.keep(key, b"library")
    kept(fresh)[0].chmod(mode)
    assert cache.find(key) is None
    cache.keep(key, b"library")
    assert cache.find(key) is not None


def test_only_regular_files_are_libraries(fresh):
    key = "0" * 16
    (folder_of_caches() / cache._name(key, b"")).mkdir()
    assert cache.find(key) is None
    cache.keep(key, b"")
    assert len(kept(fresh)) == 1


def test_a_relative_cache_folder_is_ignored(fresh, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    monkeypatch.setattr(Path, "home", lambda: fresh)
    assert folder_of_caches().is_relative_to(fresh)


def homeless():
    raise RuntimeError("Could not determine home directory.")


@needs_compiler
@pytest.mark.parametrize("why", ["no home", "a file", "no permission", "no space"])
def test_kernels_are_compiled_each_time_without_a_cache(why, quick, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(quick / "temporary"))
    (quick / "temporary").mkdir()
    if why == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", homeless)
    elif why == "a file":
        (quick / "cache").write_text("")
    elif why == "no permission":
        monkeypatch.setattr(cache, "_is_own", no_permission)
    else:
        monkeypatch.setattr(os, "replace", no_permission)
    assert native.why_unavailable() is None
    assert not list((quick / "temporary").iterdir())
    if why == "no space":
        assert not kept(quick)


def no_permission(*args, **kwargs):
    raise PermissionError("no")


@needs_compiler
def test_kernels_that_fail_to_load_from_the_cache_are_compiled_each_time(quick, monkeypatch):
    """For example, from a file system that is mounted with noexec."""
    native.library()
    loaded = native._loaded

    def refuse(path):
        if path.is_relative_to(quick / "cache"):
            raise OSError("failed to map segment from shared object")
        return loaded(path)

    monkeypatch.setattr(native, "_loaded", refuse)
    assert load_again() is not None


# Compilers


def test_a_missing_compiler_is_named(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert native.why_unavailable() == "CompilerError: no-such-compiler was not found"
    monkeypatch.setenv("CXX", "no-such-cache g++")
    native.why_unavailable.cache_clear()
    assert native.why_unavailable() == "CompilerError: no-such-cache was not found"
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(fresh))
    native.why_unavailable.cache_clear()
    assert native.why_unavailable() == "CompilerError: c++, g++ or clang++ was not found"


@needs_compiler
def test_cxx_may_have_arguments_and_spaces(quick, monkeypatch):
    path = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    wrapper = program(quick / "my cache", 'exec "$@"')
    for named in (f"'{wrapper}' {path}", f"env LANGUAGE=C {path} -g0"):
        monkeypatch.setenv("CXX", named)
        native.why_unavailable.cache_clear()
        native.library.cache_clear()
        assert native.why_unavailable() is None
    monkeypatch.setenv("CXX", str(wrapper))
    assert native.compiler.compilers()[0].command[0] == str(wrapper)
    monkeypatch.setenv("CXX", "c++ 'unclosed")
    native.why_unavailable.cache_clear()
    native.library.cache_clear()
    assert native.why_unavailable() == "CompilerError: c++ 'unclosed was not found"


@posix
def test_the_last_error_of_a_compiler_is_reported_and_nothing_is_cached(fresh, monkeypatch):
    text = (
        "case $* in *-dM*) exit 0;; esac\necho a.cpp: error: first >&2\necho a.cpp: error: cannot do it >&2\n"
    )
    compiler = program(fresh / "broken", text + "echo stopped. >&2\nexit 1")
    monkeypatch.setenv("CXX", str(compiler))
    assert native.why_unavailable() == f"CompilerError: {compiler} said: a.cpp: error: cannot do it"
    assert not kept(fresh)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"", "nothing"),
        (b"only words\n\n", "only words"),
        (
            b"x: fatal error: no header\n  12 | #include\ncompilation terminated.\n",
            "x: fatal error: no header",
        ),
        (b"error: " + b"e" * 1000, "error: " + "e" * 193),
        (b"\xff error\n", "\ufffd error"),
        (b"\x1b[01;31m\x1b[Kerror: \x1b[m\x1b[Kred\x07\n", "error: red?"),
    ],
)
def test_the_last_error(said, found):
    assert native.compiler.last_error(said) == found


@posix
def test_a_library_without_our_functions_is_refused(fresh, monkeypatch):
    text = 'for last; do :; done\ncase $* in *-dM*) ;; *) : > "$last";; esac'
    monkeypatch.setenv("CXX", str(program(fresh / "empty", text)))
    assert str(native.why_unavailable()).startswith("OSError: the compiled library: ")
    assert "TMPDIR" in str(native.why_unavailable())
    monkeypatch.setenv("CXX", str(program(fresh / "idle", "exit 0")))
    native.why_unavailable.cache_clear()
    assert native.why_unavailable() == f"CompilerError: {fresh / 'idle'} made no library"
    assert not kept(fresh)


@needs_compiler
def test_missing_functions_are_named(quick, monkeypatch):
    monkeypatch.setattr(native, "NAMES", ("convolve", "dance"))
    assert native.why_unavailable() == "OSError: the compiled library lacks gencls_dance"


@posix
def test_a_hanging_compiler_is_killed_with_its_children_and_recorded(fresh, monkeypatch):
    monkeypatch.setattr(native.compiler, "PROBE_SECONDS", 0.5)
    starts, child = fresh / "starts", fresh / "child"
    hangs = program(fresh / "hangs", f"echo >> {starts}\nsleep 100 &\necho $! > {child}\nwait")
    monkeypatch.setenv("CXX", str(hangs))
    assert native.why_unavailable() == f"CompilerHangsError: {hangs} did not end within 0.5 seconds"
    assert ended(int(child.read_text()))
    (note,) = kept(fresh)
    native.why_unavailable.cache_clear()
    assert f"not tried again for 6 hours, or until {note} is removed" in str(native.why_unavailable())
    assert starts.read_text() == "\n"
    os.utime(note, (0, 0))
    native.why_unavailable.cache_clear()
    assert str(native.why_unavailable()).endswith("within 0.5 seconds")
    program(hangs, "echo error: changed >&2; exit 1")
    native.why_unavailable.cache_clear()
    assert native.why_unavailable() == f"CompilerError: {hangs} said: error: changed"


@posix
def test_long_compiler_output_is_truncated(fresh, monkeypatch):
    monkeypatch.setattr(native.compiler, "MOST_READ", 1000)
    talks = program(fresh / "talks", "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 3")
    assert native.compiler.run([str(talks)], 60) == (3, bytes(1000), bytes(1000))


@posix
def test_background_processes_of_a_compiler_are_not_awaited(fresh):
    leaves = program(fresh / "leaves", "sleep 100 & echo $!")
    status, out, _ = native.compiler.run([str(leaves)], 60)
    os.kill(int(out), signal.SIGKILL)
    assert status == 0


def ended(process: int) -> bool:
    """Return whether a process has ended, or is a zombie."""
    for _ in range(100):
        try:
            os.kill(process, 0)
            status = Path(f"/proc/{process}/stat")
            if status.exists() and status.read_text().rsplit(")")[-1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@needs_compiler
@posix
def test_the_next_compiler_is_tried(quick, monkeypatch):
    path = native.compiler.compilers()[0].command[0]
    monkeypatch.setattr(native.compiler, "NAMES", (str(program(quick / "broken", "exit 1")), path))
    assert native.why_unavailable() is None


@needs_compiler
@posix
def test_kernels_are_compiled_in_the_cache_if_temporary_files_fail_to_load(quick, monkeypatch):
    loaded, load = [], native._loaded

    def only_from_the_cache(path):
        loaded.append(path)
        if native.cache.folder() not in path.parents:
            raise OSError("failed to map segment from shared object: Operation not permitted")
        return load(path)

    monkeypatch.setattr(native, "_loaded", only_from_the_cache)
    assert native.why_unavailable() is None
    assert len(loaded) == 2
    assert len(list(folder_of_caches().iterdir())) == 1, "the library, and no folder"
