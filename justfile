# The recipes of this project; `just` alone lists them.

set positional-arguments := true

# An environment that the shell happens to be in, such as the one that has just and uv, is none of uv's business here.
export VIRTUAL_ENV := justfile_directory() / ".venv"

# Blank counts as unset. Where it is set, each of the hundreds of processes that the tests start compiles every module
# that it imports again, which takes longer than what it does.
export PYTHONDONTWRITEBYTECODE := ""

# List the recipes.
default:
    @just --list --unsorted

# Install the locked dependencies in .venv.
[group('use')]
setup:
    @uv sync --quiet --locked

# Show the story: an example client, a local Stock2Shop, a few runs, an order.
[group('use')]
demo *ARGS: setup
    @uv run --no-sync s2s demo "$@"

# In seconds: lint, types, imports, and the tests that need no server.
[group('check')]
check: setup lint type imports
    uv run --no-sync pytest --quick

# Everything that must be green: lint, format, types, imports, docs, tests.
[group('check')]
test *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync ruff check
    uv run --no-sync ruff format --check
    uv run --no-sync mypy
    uv run --no-sync lint-imports --no-logo
    uv run --no-sync pytest -n $(($(nproc) + 1)) --maxprocesses 4 --dist worksteal "$@"

# Play random histories of faults and kills for so many minutes, with --fleet on several machines, against a Stock2Shop and an oracle of the tests' own.
[group('check')]
soak *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync python tests/model/soak.py "$@"

# Compare so many views at random, of each dialect, between its database and fixtures.
[group('check')]
views COUNT="5000" SEED="1": setup
    @sh tests/system-packages.sh
    VIEWS={{ COUNT }} SEED={{ SEED }} uv run --no-sync pytest tests/mapping/transpile/test_random_views.py

# Draw so many changes to a mapping, and compare what their reviews say with what the next run does.
[group('check')]
changes COUNT="500" SEED="1": setup
    CHANGES={{ COUNT }} SEED={{ SEED }} uv run --no-sync pytest -n $(nproc) tests/review/test_random_changes.py

# Lint and format, without changing a file.
[group('check')]
lint: setup
    uv run --no-sync ruff check
    uv run --no-sync ruff format --check

# Types.
[group('check')]
type: setup
    uv run --no-sync mypy

# Which package may import which.
[group('check')]
imports: setup
    uv run --no-sync lint-imports --no-logo

# Format, and fix what can be fixed automatically.
[group('write')]
fmt: setup
    uv run --no-sync ruff format
    uv run --no-sync ruff check --fix

# Rewrite the snapshots; read the diff before you commit it.
[group('write')]
snapshots: setup
    uv run --no-sync pytest --snapshot-update

# Rewrite the generated reference pages.
[group('write')]
docs: setup
    uv run --no-sync python docs/generate.py

# Have git run the quick checks before each commit.
[group('write')]
hooks: setup
    uv run --no-sync pre-commit install

# Measure speed and memory beside a bare pyodbc loop.
[group('measure')]
bench *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync python benchmarks/sync.py "$@"

# Let the agent run 200 small projects and 3 large ones for an hour, killing it and its workers at random.
[group('measure')]
agent-hour *ARGS: setup
    @sh tests/system-packages.sh
    uv run --no-sync python benchmarks/agent_hour.py "$@"

# Build the wheel and the source archive, with the hashes of what they need beside them.
[group('release')]
release: test
    uv build
    cp requirements.txt dist/

# Write the locked dependencies with their hashes; needed after each change of uv.lock.
[group('release')]
requirements:
    uv export --quiet --locked --no-dev --no-emit-project --no-header --no-annotate --output-file requirements.txt
