# The recipes of this project; `just` alone lists them.

set positional-arguments := true

# An environment that the shell happens to be in, such as the one that has just and uv, is none of uv's business here.
export VIRTUAL_ENV := justfile_directory() / ".venv"

# What there is to run.
default:
    @just --list --unsorted

# Install the locked dependencies in .venv.
setup:
    @uv sync --quiet --locked

# Show the story: an example client, a local Stock2Shop, a few runs, an order.
demo *ARGS: setup
    @uv run --no-sync s2s demo "$@"

# Everything that must be green: lint, format, types, docs, tests.
test *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync ruff check
    uv run --no-sync ruff format --check
    uv run --no-sync mypy
    uv run --no-sync pytest "$@"

# Format and mend what can be mended by itself.
fmt: setup
    uv run --no-sync ruff format
    uv run --no-sync ruff check --fix

# Lint only.
lint: setup
    uv run --no-sync ruff check
    uv run --no-sync ruff format --check

# Types only.
type: setup
    uv run --no-sync mypy

# Rewrite the snapshots; read the diff before you commit it.
snapshots: setup
    uv run --no-sync pytest --snapshot-update

# Measure speed and memory beside a bare pyodbc loop.
bench *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync python benchmarks/sync.py "$@"

# Rewrite the generated reference pages.
docs: setup
    uv run --no-sync python docs/generate.py

# Build the wheel and the source archive.
release: test
    uv build
