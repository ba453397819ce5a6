"""The command line: inspect models, classify image files and draw samples."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import glob
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from reprlib import Repr
from typing import Any, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from ._common.ordering import natural_key
from ._common.validation import shortened
from ._common.whole_file import whole_file
from .conditioners import list_conditioners
from .errors import GenclsError, ImageFileError, InvalidInputError
from .estimators.classifier import GenerativeBayesClassifier
from .estimators.pretrained import list_pretrained, load_pretrained, model_card
from .images.codec import ImageCodec
from .model_files.reading import read_card
from .plotting.sample_grid import SampleGridDisplay

__all__ = ["main"]

PICTURES = (".pdf", ".png", ".svg")
MOST_SAMPLES = 1000  # of each class, in one picture
LONGEST_TEXT, MOST_ENTRIES = 1000, 50  # characters of a value, and entries of a card, that `info` prints
ERROR, INTERRUPTED = 2, 130  # exit statuses; shells use the latter for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Unprintable characters are escaped with backslashes. If the reader of a pipe closes it, the command ends
    without an error.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line arguments. If None, those of the process.

    Returns
    -------
    int
        The exit status: 0 for success, 2 for an error, which is written to standard error, and 130 for
        Ctrl-C.
    """
    with _backslashes(sys.stdout), _backslashes(sys.stderr), _reported_warnings():
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            return 0
        finally:
            _discard_unwritten(sys.stdout)
            _discard_unwritten(sys.stderr)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        try:
            options = _parser().parse_args(arguments)
            options.run(options)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # standard output was closed
        raise
    except (GenclsError, OSError, ImportError, MemoryError) as error:
        _report("error", str(error) or type(error).__name__)
        return ERROR
    return 0


# The streams


@contextmanager
def _backslashes(stream: TextIO | None) -> Iterator[None]:
    """Escape characters that the encoding of a stream lacks, within this context."""
    if not isinstance(stream, TextIOWrapper):
        yield
        return
    errors = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        stream.reconfigure(errors=errors)


@contextmanager
def _reported_warnings() -> Iterator[None]:
    """Report warnings in the format of errors, within this context."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _report("warning", str(message))
        yield


def _discard_unwritten(stream: TextIO | None) -> None:
    """Discard output that cannot be written, so that the final flush of Python succeeds."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _print(*fields: object) -> None:
    """Print one line of tab-separated fields."""
    print(*(_shown(str(field)) for field in fields), sep="\t")


def _report(kind: str, words: str) -> None:
    """Print a message to standard error, if that stream is open."""
    lines = [_shown(_cut(line)) for line in f"gencls: {kind}: {words}".split("\n")]
    if sys.stderr is not None:
        with suppress(OSError):
            print(*lines, sep="\n", file=sys.stderr, flush=True)


def _shown(text: str) -> str:
    """Escape unprintable characters, which a terminal could interpret."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


# The arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(_shown(_cut(message)))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gencls", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, _list, "list", "name the conditioners and the pretrained models")
    _add(commands, _info, "info", "describe a model, with its card", model=True)
    predict = _add(commands, _predict, "predict", "print path, class and probability of images", model=True)
    predict.add_argument(
        "images",
        nargs="+",
        type=os.path.expanduser,
        metavar="IMAGE",
        help="file, or pattern such as '*.png'; black and white become the ends of the model's pixel range",
    )
    predict.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        default="raise",
        help="how to handle unreadable images: fail, or skip them with a message (default: raise)",
    )
    sample = _add(commands, _sample, "sample", "draw samples of every class to a picture", model=True)
    sample.add_argument("--n", type=_count, default=8, help="images per class, up to 1000 (default: 8)")
    sample.add_argument("--seed", type=_seed, help="random seed, for reproducible images")
    sample.add_argument("--out", type=_picture, required=True, help=f"file: {', '.join(PICTURES)}")
    return parser


def _add(
    commands: Any, run: Callable[[argparse.Namespace], None], name: str, words: str, model: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    parser.set_defaults(run=run)
    if model:
        words = "model file, or name of a pretrained model"
        parser.add_argument("model", type=os.path.expanduser, metavar="MODEL", help=words)
        parser.add_argument("--device", default="auto", help="torch device (default: auto)")
    return parser


def _count(text: str) -> int:
    if not _is_whole(text, 1, MOST_SAMPLES):
        words = f"must be a whole number from 1 to {MOST_SAMPLES}, got {shortened(text)}"
        raise argparse.ArgumentTypeError(words)
    return int(text)


def _seed(text: str) -> int:
    if not _is_whole(text, 0, 2**32 - 1):
        words = f"must be a whole number from 0 to 2**32 - 1, got {shortened(text)}"
        raise argparse.ArgumentTypeError(words)
    return int(text)


def _is_whole(text: str, minimum: int, maximum: int) -> bool:
    """Return whether a text is an int in a range; Python refuses to parse very long ones."""
    return text.isdecimal() and len(text) <= 100 and minimum <= int(text) <= maximum


def _picture(text: str) -> Path:
    path = Path(os.path.expanduser(text))
    if path.suffix.lower() not in PICTURES:
        must = f"must end with {' or '.join(PICTURES)}"
    elif not os.path.isdir(path.parent):
        must = "must be in an existing folder"
    elif os.path.isdir(path):
        must = "must not be a folder"
    else:
        return path
    raise argparse.ArgumentTypeError(f"{must}, got {shortened(text)}")


# The commands

_BOUNDED = Repr()
_BOUNDED.maxlist = _BOUNDED.maxdict = MOST_ENTRIES
_BOUNDED.maxstring = _BOUNDED.maxother = _BOUNDED.maxlong = LONGEST_TEXT


def _list(options: argparse.Namespace) -> None:
    for title, names in (("conditioners", list_conditioners()), ("pretrained models", list_pretrained())):
        _print(f"{title}: {', '.join(names)}")


def _info(options: argparse.Namespace) -> None:
    clf = _load(options)
    codec = clf.codec_
    facts = {
        "classes": ", ".join(map(str, clf.classes_)),
        "images": f"{codec.image_shape_}{_reduced(codec)}, {codec.n_levels_} levels from {codec.low_:g} to "
        f"{codec.high_:g}",
        "conditioner": clf.conditioner,
        "weights": sum(weight.numel() for weight in clf.net_.averaged_model.parameters()),
        "epochs": clf.n_iter_,
    }
    for name, value in facts.items():
        _print(_cut(f"{name}: {value}"))
    _print_card(_card(options))


def _reduced(codec: ImageCodec) -> str:
    """The size to which a model reduces images, in words."""
    size = codec.tensor_shape_[1:]
    return "" if size == codec.native_size else f" reduced to {size}"


def _print_card(card: Mapping[str, Any]) -> None:
    """Print the card of a model; its entries are prefixed, as they are not facts of the model."""
    for name, value in islice(card.items(), MOST_ENTRIES):
        words = value if isinstance(value, str) else _BOUNDED.repr(value)
        _print(f"card.{shortened(name)[1:-1]}: {_cut(words)}")
    if len(card) > MOST_ENTRIES:
        _print(f"card: {len(card) - MOST_ENTRIES} more entries")


def _predict(options: argparse.Namespace) -> None:
    clf = _load(options)
    probabilities, paths = _probabilities(clf, list(_expanded(options.images)), options.on_error)
    for path, row in zip(paths, probabilities, strict=True):
        _print(path, clf.classes_[row.argmax()], f"{row.max():.4f}")


def _expanded(paths: Iterable[str]) -> Iterator[str]:
    """Expand patterns, which some shells do not."""
    for path in paths:
        is_pattern = "*" in path and not os.path.lexists(path)
        yield from (sorted(glob(path), key=natural_key) if is_pattern else []) or [path]


def _sample(options: argparse.Namespace) -> None:
    try:
        with whole_file(options.out) as file:
            display = SampleGridDisplay.from_estimator(
                _load(options), n_per_class=options.n, random_state=options.seed
            )
            display.figure_.savefig(file, format=options.out.suffix[1:].lower())
    except OSError as error:
        if error.filename != str(options.out):
            raise
        raise InvalidInputError(f"{options.out} cannot be written ({error.strerror}).") from error
    _print(f"wrote {options.out}")


def _load(options: argparse.Namespace) -> GenerativeBayesClassifier:
    if options.model in list_pretrained():
        return load_pretrained(options.model, options.device)
    if not _is_there(options.model):
        raise InvalidInputError(
            f"MODEL must be a model file or a pretrained model ({', '.join(list_pretrained())}), got "
            f"{shortened(options.model)}, which does not exist."
        )
    return GenerativeBayesClassifier.load(options.model, options.device)


def _is_there(path: str) -> bool:
    """Return whether a path exists; an unreadable folder is left to the error of `load`."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        pass
    return True


def _card(options: argparse.Namespace) -> dict[str, Any]:
    return (model_card if options.model in list_pretrained() else read_card)(options.model)


def _probabilities(
    clf: GenerativeBayesClassifier, paths: Sequence[str], on_error: str
) -> tuple[NDArray[np.float64], Sequence[str]]:
    """Class probabilities of image files, and the paths that were read."""
    try:
        return clf.predict_proba(paths), paths
    except ImageFileError as error:
        if on_error == "raise" or len(error.positions) == len(paths):
            raise
        mistakes = dict(zip(error.positions, error.messages, strict=True))
    for message in mistakes.values():
        _report("skipped", message)
    kept = [path for position, path in enumerate(paths) if position not in mistakes]
    return clf.predict_proba(kept), kept
