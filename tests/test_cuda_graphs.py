"""Sampling with captured and replayed rows returns the images of the plain sampler."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from helpers import REPRESENTATIVE, make_labels, make_model
from torch.utils._python_dispatch import TorchDispatchMode

from gencls import CompilationWarning
from gencls.backends.cuda_graphs import CudaCapture, ReplayedCalls
from gencls.inference import ancestral_sample, cached_sample, sampling
from gencls.inference.sampling import draw_noise
from gencls.pixelcnn import Execution

aten = torch.ops.aten
# Such operations wait for the GPU, or bring numbers of Python's there.
IMPOSSIBLE = {aten._local_scalar_dense, aten.lift_fresh, aten.nonzero, aten.masked_select}


class Tape(TorchDispatchMode):
    """What a CUDA graph is, on a CPU: operations on tensors that stay where they are, without Python between.

    While they are recorded, nothing that was there before is changed.
    """

    def __init__(self, function):
        super().__init__()
        self.operations = []
        with self:
            function()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with self:
            result = operation.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        if operation.overloadpacket in IMPOSSIBLE:
            raise RuntimeError(f"{operation} cannot be captured")
        if operation._schema.is_mutable:
            self.operations.append(partial(operation, *args, **kwargs))
            return args[0]
        result = operation(*args, **kwargs)
        if not any(each.alias_info for each in operation._schema.returns):  # else it is a view, and stays one
            self.operations.append(lambda: result.copy_(operation(*args, **kwargs)))
        return result

    def replay(self):
        for operation in self.operations:
            operation()


@pytest.fixture
def tapes(monkeypatch):
    """The captures of a sampler, in order."""
    made = []

    def capture(function):
        made.append(Tape(function))
        return made[-1]

    monkeypatch.setattr(sampling, "_capture_for", lambda model, execution: capture)
    return made


def draw_both(model, n_images=3, **options):
    noise = draw_noise(model, n_images, np.random.RandomState(0))
    labels = make_labels(model, n_images)
    return ancestral_sample(model, labels, noise), cached_sample(model, labels, noise, **options)


@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_every_conditioner(conditioner, tapes):
    plain, replayed = draw_both(make_model((2, 10, 3), 16, conditioner=conditioner))
    assert torch.equal(plain, replayed)
    assert len(plain.unique()) > 2
    assert len(tapes) == 4  # of ten rows the first is plain, and five more are replayed alone


@pytest.mark.parametrize(
    ("shape", "n_captured"),
    [((3, 5, 7), 4), ((1, 1, 9), 0), ((2, 9, 2), 4), ((1, 2, 1), 1), ((1, 17, 1), 4)],
    ids=str,
)
def test_every_size(shape, n_captured, tapes):
    plain, replayed = draw_both(make_model(shape, 16, conditioner="spatial-film", n_layers=2))
    assert torch.equal(plain, replayed)
    assert len(tapes) == n_captured


@pytest.mark.parametrize("n_known", [1, 6, 13])
def test_known_rows(n_known, tapes):
    model = make_model((2, 13, 2), 16, conditioner="strong")
    noise = draw_noise(model, 3, np.random.RandomState(0))
    labels = make_labels(model, 3)
    images = ancestral_sample(model, labels, noise)
    known = images[:, :, :n_known]
    assert torch.equal(cached_sample(model, labels, noise, known=known), images)
    completed = cached_sample(model, labels, noise, known=15 - known)
    assert torch.equal(completed[:, :, :n_known], 15 - known)
    tapes.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_capture_for", lambda model, execution: None)
        assert torch.equal(cached_sample(model, labels, noise, known=15 - known), completed)
    assert not tapes


def test_batches_have_separate_captures(tapes):
    plain, replayed = draw_both(make_model((1, 7, 2), 16), n_images=5, batch_size=3)
    assert torch.equal(plain, replayed)
    assert len(tapes) == 8


def test_the_tape_is_as_strict_as_a_graph():
    """A control: the tape detects tensors that are rebound, read, or created from Python scalars."""
    kept = {"sum": torch.zeros(1)}

    def rebind(kind):
        kept["sum"] = kept["sum"] + 1

    call = ReplayedCalls(rebind, Tape)
    for _ in range(4):
        call(0)
    assert kept["sum"].item() != 4
    for impossible in (
        lambda: kept["sum"].item(),
        lambda: torch.tensor([1.0]),
        lambda: kept["sum"].new_tensor(2.0),
    ):
        with pytest.raises(RuntimeError, match="cannot be captured"):
            Tape(impossible)


def test_the_first_call_is_plain_and_each_kind_is_captured_once():
    total, made = torch.zeros(3), []

    def add(place, by):
        total[place] += by

    def capture(function):
        made.append(function.args)
        return Tape(function)

    call = ReplayedCalls(add, capture)
    calls = [(0, 1), (1, 1), (0, 1), (1, 1), (1, 2), (2, 5), (0, 1), (1, 2)]
    for each in calls:
        call(*each)
    assert total.tolist() == [3, 6, 5]
    assert made == [(1, 1), (0, 1), (1, 2), (2, 5)]


def fails_after(n_captures):
    """A capture that succeeds a few times, and then fails in the middle of a row, as on a GPU."""
    made = []

    def capture(function):
        made.append(Tape(function))
        if len(made) > n_captures:
            try:
                raise RuntimeError("operation not permitted\nand more")
            except RuntimeError:
                raise RuntimeError("a previous error") from None
        return made[-1]

    return capture, made


@pytest.mark.parametrize("n_captures", [0, 2])
def test_a_failed_capture_warns_once_and_keeps_the_images(n_captures, monkeypatch):
    capture, made = fails_after(n_captures)
    monkeypatch.setattr(sampling, "_capture_for", lambda model, execution: capture)
    with pytest.warns(CompilationWarning, match=r"sampling.*\(operation not permitted\)") as found:
        plain, drawn = draw_both(make_model((2, 10, 3), 16, conditioner="spatial"))
    assert len(found) == 1
    assert torch.equal(plain, drawn)
    assert len(made) == n_captures + 1  # it is not tried again


@pytest.mark.parametrize("compiled", [False, True])
def test_nothing_is_captured_without_a_gpu(compiled):
    assert sampling._capture_for(make_model((1, 3, 3)), Execution(compiled=compiled)) is None


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("conditioner", REPRESENTATIVE)
def test_images_on_a_gpu_are_the_same(conditioner):
    model = make_model((3, 11, 6), 256, conditioner=conditioner).cuda()
    noise = draw_noise(model, 5, np.random.RandomState(0))
    labels = make_labels(model)
    plain, compiled = cached_sample(model, labels, noise), Execution(compiled=True)
    assert torch.equal(cached_sample(model, labels, noise, execution=compiled, batch_size=3), plain)
    known = 255 - plain[:, :, :7]
    completed = cached_sample(model, labels, noise, known=known, execution=compiled)
    assert torch.equal(cached_sample(model, labels, noise, known=known), completed)


@pytest.mark.gpu
@needs_gpu
def test_a_failed_capture_on_a_gpu_restores_the_state():
    device = torch.device("cuda", torch.cuda.current_device())
    total, stream = torch.zeros(1, device=device), torch.cuda.current_stream()

    def add(kind):
        total.add_(1)
        total.item()  # waits for the GPU, which cannot be captured

    call = ReplayedCalls(add, CudaCapture(device))
    call(0)
    with pytest.warns(CompilationWarning, match="sampling"):
        call(1)
    call(1)
    assert total.item() == 3
    assert torch.cuda.current_stream() == stream
    assert torch.rand(3, device=device).max() < 1
