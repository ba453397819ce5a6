"""Shared helpers: parameter checks, atomic file writing, natural sort order, registries, unwrapping."""
