"""Whose opinions do a language model's answers resemble? A Dagster pipeline from survey to similarity."""

__version__ = "0.1.0"
