"""The paper's Figure 3: validation accuracy over the epochs, for mild and strong, with standard errors.

    python benchmarks/fig3.py                                # 16×16, ten epochs, on a CPU
    python benchmarks/fig3.py --scale paper --device cuda
    python benchmarks/fig3.py --report-only                  # table and picture of what is finished

The trainings are those of paper_runs.py; what is missing of them is done first.
"""

from __future__ import annotations

from over_epochs import make
from paper_runs import parse

PAIRS = [("epoch", "accuracy"), ("fid", "accuracy"), ("bits_per_dim", "accuracy")]


def main(arguments: list[str] | None = None) -> None:
    """Make the figure."""
    make("fig3", PAIRS, ["accuracy", "log_loss"], parse(arguments, __doc__))


if __name__ == "__main__":
    main()
