"""What `make run` does: the whole path on this machine, with the test platform as the partner and a little traffic to watch."""
