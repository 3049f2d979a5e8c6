"""Mainstay: the maintenance and support desk for applications in production."""

__version__ = "0.1.0"
