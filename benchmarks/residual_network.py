"""What one would take instead for labels alone: a small discriminative residual network, from scratch.

    python benchmarks/residual_network.py                 # 32×32 and 16×16, three seeds
    python benchmarks/residual_network.py --size 16 --seeds 1 --seconds 120

It is trained with crops, flips and a cosine schedule on the training images of CPEN455, and scored on the
validation images. Each fit is a line in benchmarks/results/residual_network.jsonl; when the command is
started again, it goes on from there. In the end it prints a table.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from budget import FOREVER, TimeBudget
from numpy.typing import NDArray
from records import Row, append, finished, read
from scores import count
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from skorch import NeuralNetClassifier
from split import Split, load_split
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_calibration_error
from tqdm import tqdm
from zoo_report import summary, with_error

from gencls.augmentations.flip import mirror_at_random
from gencls.augmentations.shift import shift_at_random
from gencls.training.callbacks import CosineSchedule

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 64
SGD = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
COLUMNS = {
    "accuracy": ".4f",
    "log_loss": ".3f",
    "ece": ".3f",
    "log_loss_calibrated": ".3f",
    "ece_calibrated": ".3f",
    "epochs_trained": ".0f",
    "fit_seconds": ".0f",
    "cpu_seconds": ".0f",
}


class CropAndFlip(nn.Module):
    """In training, mirror every other image and move each by up to an eighth of its size."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) of any dtype."""
        if not self.training:
            return images
        return shift_at_random(mirror_at_random(images), images.shape[-1] // 8)


class Scale(nn.Module):
    """Pixels from 0 to 255, to -1 to 1, in the order in memory that convolutions on a CPU like best."""

    def forward(self, images: Tensor) -> Tensor:
        """Images of any dtype, as float32."""
        return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class Block(nn.Module):
    """A residual block with pre-activation (He et al. 2016, "Identity Mappings")."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(n_in), nn.ReLU(), _convolution(n_in, n_out, stride)),
            *(nn.BatchNorm2d(n_out), nn.ReLU(), _convolution(n_out, n_out)),
        )
        alike = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if alike else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, n_in, H, W) to (N, n_out, H / stride, W / stride)."""
        return self.shortcut(x) + self.body(x)


def _convolution(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)


class ResidualNetwork(nn.Module):
    """Images (N, 3, H, W), uint8, to logits (N, K); 0.7 million learned numbers.

    `features` turns images into what the last layer sees, (N, 128).
    """

    def __init__(self, n_classes: int = 4, widths: tuple[int, ...] = (32, 64, 128)):
        super().__init__()
        blocks: list[nn.Module] = []
        for n_in, n_out in zip((widths[0], *widths), widths, strict=False):
            blocks += [Block(n_in, n_out, stride=1 if n_in == n_out else 2), Block(n_out, n_out, stride=1)]
        self.augment = CropAndFlip()
        self.features = nn.Sequential(
            *(Scale(), _convolution(3, widths[0]), *blocks),
            *(nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.head = nn.Linear(widths[-1], n_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes."""
        return self.head(self.features(self.augment(images)))


@dataclass(frozen=True)
class Fit:
    """One line of the results; training takes `epochs`, or `seconds` where they are given."""

    size: int
    seed: int
    epochs: int
    seconds: float | None
    device: str


def train(
    images: Split, *, epochs: int, seconds: float | None = None, device: str = "cpu", seed: int = 0
) -> Any:
    """Train a network; a fitted skorch classifier of images (N, 3, H, W)."""
    net = NeuralNetClassifier(
        ResidualNetwork,
        module__n_classes=len(np.unique(images.y)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        **{name if name == "lr" else f"optimizer__{name}": value for name, value in SGD.items()},
        batch_size=BATCH_SIZE,
        max_epochs=epochs if seconds is None else FOREVER,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[CosineSchedule()] + ([] if seconds is None else [TimeBudget(seconds, device)]),
        callbacks__print_log=None,
        device=device,
    )
    net.planned_steps = math.ceil(len(images.X) / BATCH_SIZE) * epochs
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return net.fit(channels_first(images.X), images.y)


def channels_first(X: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W, C) to (N, C, H, W)."""
    return np.ascontiguousarray(X.transpose(0, 3, 1, 2))


def measure(fit: Fit, images: Split) -> Row:
    """Train and score one network."""
    start, cpu = time.perf_counter(), time.process_time()
    net = train(images, epochs=fit.epochs, seconds=fit.seconds, device=fit.device, seed=fit.seed)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    X_val = channels_first(images.X_val)
    after = scores(calibrate(net, X_val, images.y_val), images.y_val)
    return (
        asdict(fit)
        | scores(net.predict_proba(X_val), images.y_val)
        | {f"{name}_calibrated": value for name, value in after.items()}
        | {
            "epochs_trained": len(net.history),
            "fit_seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "n_parameters": count(net.module_),
            "n_held_out": len(X_val),
            "torch": torch.__version__,
        }
    )


def calibrate(net: Any, X_val: NDArray[np.uint8], y_val: NDArray[np.int64]) -> NDArray[np.floating]:
    """Probabilities after temperature scaling; the temperature of each half was found on the other."""
    scaled = CalibratedClassifierCV(FrozenEstimator(net), method="temperature")
    return cross_val_predict(scaled, X_val, y_val, cv=2, method="predict_proba")


def scores(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, log-loss in nats, and the expected calibration error in 15 bins (Guo et al. 2017)."""
    n_classes = probabilities.shape[1]
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # in float32 the sums are 1 but for 1e-7
    tensors = torch.from_numpy(probabilities), torch.from_numpy(labels)
    return {
        "accuracy": float((probabilities.argmax(1) == labels).mean()),
        "log_loss": log_loss(labels, probabilities, labels=range(n_classes)),
        "ece": float(multiclass_calibration_error(*tensors, num_classes=n_classes)),
    }


def table(rows: list[Row]) -> str:
    """Means and standard errors over the seeds, as Markdown."""
    lines = [f"| size | {' | '.join(COLUMNS)} | fits |", "|---:" * (len(COLUMNS) + 2) + "|"]
    for size in sorted({row["size"] for row in rows}):
        fits = [row for row in rows if row["size"] == size]
        means = [with_error(*summary(fits, name), style) for name, style in COLUMNS.items()]
        lines.append(f"| {size}×{size} | {' | '.join(means)} | {len(fits)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, then print the table."""
    args = parse(arguments)
    fits = [
        Fit(size, seed, args.epochs, args.seconds, args.device)
        for seed in range(args.seeds)
        for size in args.size
    ]
    done = finished(read(args.results), fits)
    for fit in tqdm([fit for fit in fits if fit not in done], unit="fit"):
        append(measure(fit, load_split(fit.size, args.path, args.images)), args.results)
    print(table(list(finished(read(args.results), fits).values())))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", type=Path, help="folder with train.csv, validation.csv and the images")
    parser.add_argument(
        "--size", type=int, nargs="+", default=[32, 16], help="rows and columns of the images"
    )
    parser.add_argument("--seeds", type=int, default=3, help="fits of each size (default: 3)")
    parser.add_argument("--epochs", type=int, default=30, help="of each fit (default: 30)")
    parser.add_argument("--seconds", type=float, help="training time of each fit, instead of epochs")
    parser.add_argument("--images", type=int, help="train on as many images instead of all")
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/residual_network.jsonl")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
