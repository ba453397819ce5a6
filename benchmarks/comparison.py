"""gencls beside other contestants on several data sets: the best size of each, and where gencls is behind."""

from __future__ import annotations

from records import Row
from tables import grouped, summary

OURS = "gencls"
WORDS = {"accuracy": "Accuracy", "log_loss": "Log-loss, in nats"}


def best_size(rows: list[Row]) -> list[Row]:
    """The rows at the image size of the best mean accuracy, for each contestant on each data set."""
    found = []
    for of_pair in grouped(rows, ["set", "contestant"]).values():
        sizes = grouped(of_pair, ["size"]).values()
        found += max(sizes, key=lambda of_size: summary(of_size, "accuracy").mean)
    return found


def behind(rows: list[Row]) -> str:
    """Sentences that name the data sets on which a different contestant is better than gencls."""
    if not any(row["contestant"] == OURS for row in rows):
        return ""
    sets = {name: by_set for (name,), by_set in grouped(rows, ["set"]).items()}
    lines = []
    for figure, words in WORDS.items():
        lost = [text for name, by_set in sets.items() if (text := defeat(name, by_set, figure))]
        lines.append(f"**{words}: gencls is behind on** {'; '.join(lost) if lost else 'none of them'}.")
    return "\n" + "\n\n".join(lines) + "\n"


def defeat(name: str, rows: list[Row], figure: str) -> str:
    """The figures of gencls and of the best contestant of a data set, or nothing if this is gencls."""
    sign = 1 if figure == "accuracy" else -1
    means = {who: summary(of_one, figure).mean for (who,), of_one in grouped(rows, ["contestant"]).items()}
    best = max(means, key=lambda who: sign * means[who])
    if OURS not in means or sign * means[OURS] >= sign * means[best]:
        return ""
    return f"{name} ({means[OURS]:.3f}, {best} {means[best]:.3f})"
