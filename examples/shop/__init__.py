"""Harbour Shop: a small real web shop with faults that can be switched on."""

__version__ = "1.0.0"
