"""The version of dltasks."""

__version__ = "0.1.0"
