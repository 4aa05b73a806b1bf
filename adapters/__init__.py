"""Outbound: from a batch to calls of a partner's API. One module per partner; they know nothing of queues or stores."""
