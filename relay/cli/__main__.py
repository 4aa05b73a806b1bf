"""`python -m relay.cli`: the same command as `diy`."""

from relay.cli import main

if __name__ == "__main__":
    main(prog_name="diy")
