"""The test platform: a partner that behaves like a real one, with faults on demand. Knows nothing of the rest of the project."""
