"""What handlers, worker and adapters share, and the tools around them."""

__version__ = "0.1.0"
