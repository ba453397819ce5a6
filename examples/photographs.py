"""Learn your own photographs, in a folder with a sub-folder for each class, and save the model.

python examples/photographs.py my_photographs --output my_model.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

from gencls import GenerativeBayesClassifier
from gencls.datasets import load_image_folder


def main(
    folder: str, output: Path, recipe: str = "photographs-fast", **overrides: Any
) -> GenerativeBayesClassifier:
    """Fit on three quarters of the photographs, report on the rest, and save the model."""
    photographs = load_image_folder(folder, size=64, on_error="skip")
    y = np.array(photographs.target_names)[photographs.target]
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=0)

    clf = GenerativeBayesClassifier.from_recipe(recipe, random_state=0, verbose=1, **overrides)
    clf.fit(photographs.data[train], y[train])
    print(classification_report(y[test], clf.predict(photographs.data[test]), zero_division=0))

    strangest = test[clf.score_samples(photographs.data[test]).argmin()]
    print(f"The least probable photograph of the rest: {photographs.filenames[strangest]}")
    clf.save(output)
    return clf


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Learn the photographs of a folder.")
    parser.add_argument("folder", help="with a sub-folder for each class")
    parser.add_argument("--output", type=Path, default=Path("photographs.safetensors"))
    main(**vars(parser.parse_args()))
