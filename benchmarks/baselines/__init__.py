"""The baselines of gencls."""
