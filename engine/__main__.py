"""Lets ``python -m engine run acme`` do what ``s2s run acme`` does."""

from engine.cli.app import main

if __name__ == "__main__":
    main()
