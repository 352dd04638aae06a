"""Watches retail shelves: stockouts, pick-ups, ranked restock tasks."""

__version__ = "0.1.0"
