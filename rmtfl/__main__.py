"""`python -m rmtfl` is the `rmtfl` command."""

from rmtfl.cli import main

if __name__ == "__main__":  # worker processes import this module again
    main()
