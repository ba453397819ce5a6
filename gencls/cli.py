"""The command line: model files and pretrained models at work, without writing Python."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .conditioners import list_conditioners
from .errors import GenclsError, InvalidInputError
from .estimator import GenerativeBayesClassifier
from .images import ReadImages
from .persistence import read_card
from .plotting import SampleGridDisplay
from .pretrained import list_pretrained, load_pretrained, model_card

__all__ = ["main"]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # how to read an image of so many channels
PICTURES = (".pdf", ".png", ".svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status: 0, or 2 after an error, which is told on the standard error stream.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (GenclsError, OSError, ImportError) as error:
        sys.stderr.write(f"gencls: error: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gencls", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, _list, "list", "name the conditioners and the pretrained models")
    _add(commands, _info, "info", "tell what a model is, and how good", model=True)
    predict = _add(commands, _predict, "predict", "print path, class and probability of images", model=True)
    predict.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="file; black is the model's lowest value, white its highest",
    )
    sample = _add(commands, _sample, "sample", "draw images of every class into a picture", model=True)
    sample.add_argument("--n", type=_count, default=8, help="images of each class (default: 8)")
    sample.add_argument("--seed", type=_seed, help="draw the same images again")
    sample.add_argument("--out", type=_picture, required=True, help=f"file: {', '.join(PICTURES)}")
    return parser


def _add(
    commands: Any, run: Callable[[argparse.Namespace], None], name: str, words: str, model: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(run=run)
    if model:
        parser.add_argument("model", metavar="MODEL", help="model file, or name of a pretrained model")
        parser.add_argument("--device", default="auto", help="torch device (default: auto)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"must end with {' or '.join(PICTURES)}, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be in a folder that is there, got {text!r}")
    return path


# The commands


def _list(options: argparse.Namespace) -> None:
    for title, names in (("conditioners", list_conditioners()), ("pretrained models", list_pretrained())):
        print(f"{title}: {', '.join(names)}")


def _info(options: argparse.Namespace) -> None:
    clf = _load(options)
    codec = clf.codec_
    facts = {
        "classes": ", ".join(map(str, clf.classes_)),
        "images": f"{codec.image_shape_}, {codec.n_levels_} levels from {codec.low_:g} to {codec.high_:g}",
        "conditioner": clf.conditioner,
        "weights": sum(weight.numel() for weight in clf.net_.averaged_model.parameters()),
        "epochs": clf.n_iter_,
    }
    for name, value in (facts | _card(options)).items():
        print(f"{name}: {value}")


def _predict(options: argparse.Namespace) -> None:
    clf = _load(options)
    probabilities = clf.predict_proba(_read(clf, options.images))
    for path, row in zip(options.images, probabilities, strict=True):
        print(path, clf.classes_[row.argmax()], f"{row.max():.4f}", sep="\t")


def _sample(options: argparse.Namespace) -> None:
    display = SampleGridDisplay.from_estimator(
        _load(options), n_per_class=options.n, random_state=options.seed
    )
    display.figure_.savefig(options.out)
    print(f"wrote {options.out}")


def _load(options: argparse.Namespace) -> GenerativeBayesClassifier:
    if options.model in list_pretrained():
        return load_pretrained(options.model, options.device)
    if not Path(options.model).exists():
        raise InvalidInputError(
            f"MODEL must be a model file or a pretrained model ({', '.join(list_pretrained())}), got "
            f"{options.model!r}: there is neither."
        )
    return GenerativeBayesClassifier.load(options.model, options.device)


def _card(options: argparse.Namespace) -> dict[str, Any]:
    return (model_card if options.model in list_pretrained() else read_card)(options.model)


def _read(clf: GenerativeBayesClassifier, paths: Sequence[str]) -> NDArray[np.float64]:
    """Image files in the size, the channels and the pixel range of the model."""
    codec = clf.codec_
    channels, height, width = codec.tensor_shape_
    if channels not in MODES:
        raise InvalidInputError(f"Image files cannot be read for a model of images with {channels} channels.")
    images = ReadImages(size=(height, width), mode=MODES[channels]).transform(paths)
    values = np.interp(images, (0, 255), (codec.low_, codec.high_))
    if values.ndim == 4 and codec.channel_axis == 1:
        values = np.moveaxis(values, -1, 1)
    return values.reshape(-1, *codec.image_shape_)
