"""The command line: ``s2s`` and its commands.

Arguments go in; text, JSON and an exit code come out. No other package prints. Each module holds the commands of one
part of the work; start with :mod:`engine.cli.app`, which puts them together.
"""
