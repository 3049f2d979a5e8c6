"""Harbour Shop: a small real web shop, on the standard library alone, with faults that can be switched on."""

__version__ = "1.0.0"
