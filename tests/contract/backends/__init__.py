"""What every back end must do. A further back end is one more parameter of the fixture `place` in conftest.py."""
