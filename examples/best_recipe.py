"""The best recipe for CPEN455, part by part: 24×24 after 16×16, several seeds together. It takes hours.

python examples/best_recipe.py --path <folder with train.csv>
"""

from __future__ import annotations

import argparse
from typing import Any

from gencls import Flip, GenerativeBayesClassifier, Hybrid, MeanJointClassifier, RandomCrop, Stage
from gencls.datasets import fetch_cpen455

CROPS = [Flip(), RandomCrop(smallest=0.8)]
STAGES = [
    Stage(80, lr=2e-3, resolution=16),
    Stage(12, lr=7e-4, resolution=16, objective=Hybrid(weight=1.0, temperature=8.0), augmentation=CROPS),
    Stage(4, lr=4e-4, resolution=16, objective=Hybrid(weight=0.2, temperature=8.0)),
    Stage(14, lr=7e-4, objective=Hybrid(weight=1.0, temperature=18.0), augmentation=CROPS),
    Stage(2, lr=4e-4, objective=Hybrid(weight=0.2, temperature=18.0)),
]
PARAMS: dict[str, Any] = {"augmentation": Flip(), "resolution": 24, "stages": STAGES, "batch_size": 16}


def main(path: str | None = None, n_seeds: int = 3, **overrides: Any) -> float:
    """Fit, and return the accuracy on the validation photographs."""
    train, test = (fetch_cpen455(subset=subset, size=64, path=path) for subset in ("train", "validation"))
    params = PARAMS | {"views": "six-crops", "verbose": 1} | overrides
    seeds = [GenerativeBayesClassifier("low-rank", **params, random_state=seed) for seed in range(n_seeds)]
    clf = MeanJointClassifier(seeds).fit(train.data, train.target).calibrate(test.data, test.target)
    accuracy = clf.score(test.data, test.target)
    print(f"accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", help="folder with train.csv, validation.csv and the photographs")
    main(**vars(parser.parse_args()))
