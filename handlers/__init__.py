"""Inbound: from an HTTP request of a source to queued batches."""
