"""Holdfast: what it accepted, it holds."""

__version__ = "0.1.0"
