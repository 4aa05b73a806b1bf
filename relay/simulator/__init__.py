"""The DMP's side: signed traffic for demonstrations, smoke tests and load."""
