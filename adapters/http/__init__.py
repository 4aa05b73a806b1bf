"""The HTTP adapter: a partner described in the settings of a connector, without code."""

from adapters.http.adapter import Http

__all__ = ["Http"]
