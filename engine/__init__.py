"""A SQL-first, config-as-code sync engine for Stock2Shop."""

__version__ = "0.1.0"
