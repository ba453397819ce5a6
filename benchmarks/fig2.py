"""The paper's Figure 2: bits per dimension and sample quality over the epochs, for mild and strong.

    python benchmarks/fig2.py                                # 16×16, ten epochs, on a CPU
    python benchmarks/fig2.py --scale paper --device cuda
    python benchmarks/fig2.py --report-only                  # table and picture of what is finished

The trainings are those of paper_runs.py; what is missing of them is done first.
"""

from __future__ import annotations

from over_epochs import make
from paper_runs import parse

PAIRS = [("epoch", "fid"), ("epoch", "bits_per_dim"), ("bits_per_dim", "fid")]


def main(arguments: list[str] | None = None) -> None:
    """Make the figure."""
    make("fig2", PAIRS, ["bits_per_dim", "train_bits_per_dim", "fid"], parse(arguments, __doc__))


if __name__ == "__main__":
    main()
