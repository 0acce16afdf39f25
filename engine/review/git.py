"""Read a workspace as it was at a git reference."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import now
from engine.errors import UsageError
from engine.files import exists

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def at_reference(workspace: Path, reference: str) -> Iterator[Path]:
    """The workspace as it was at a git reference, in a temporary folder.

    Where the commit has no such folder, the workspace is empty. Links that lead out of it are left out. Neither the
    working tree nor the index is touched. Raises :class:`UsageError` where there is no git, no repository or no such
    commit.
    """
    commit = _find_commit(workspace, reference)
    with tempfile.TemporaryDirectory(prefix="s2s-review-", ignore_cleanup_errors=True) as folder:
        root, index = Path(folder) / "earlier", Path(folder) / "index"
        # Run in a folder of the repository, git writes the files below that folder under their whole paths.
        for arguments in (("read-tree", commit), ("checkout-index", "--all", "--force", f"--prefix={root}/")):
            result = _run_git(workspace, *arguments, index=index)
            if result.returncode:
                raise _git_error(f"The workspace at {reference!r} cannot be read", result)
        earlier = root / os.fsdecode(_run_git(workspace, "rev-parse", "--show-prefix").stdout).rstrip("\n")
        _remove_outward_links(earlier)
        (earlier / "projects").mkdir(parents=True, exist_ok=True)
        yield earlier


def _run_git(workspace: Path, *arguments: str, index: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run git in ``workspace``, in English and without hooks; ``index`` replaces its own index file."""
    environ = {**os.environ, "LC_ALL": "C"}
    if index is not None:
        environ["GIT_INDEX_FILE"] = str(index)
    try:
        return subprocess.run(  # noqa: S603 - git, without a shell
            ["git", "-C", str(workspace), "-c", f"core.hooksPath={os.devnull}", *arguments],  # noqa: S607 - git as PATH has it
            env=environ,
            capture_output=True,
            check=False,
        )
    except OSError:
        raise UsageError("There is no git here.", hint="Install git, or put it on the PATH.") from None


def _remove_outward_links(folder: Path) -> None:
    """Remove the symbolic links below ``folder`` that lead out of it."""
    root = os.path.realpath(folder)
    paths = [Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)]
    links = [path for path in paths if path.is_symlink()]
    for link in [link for link in links if not Path(os.path.realpath(link)).is_relative_to(root)]:
        link.unlink()


def _find_commit(workspace: Path, reference: str) -> str:
    """The commit that a reference names. Raises :class:`UsageError` that says why there is none."""
    shallow = _run_git(workspace, "rev-parse", "--is-shallow-repository")
    if shallow.returncode:
        if _has_repository(workspace):
            raise _git_error(f"{workspace} cannot be compared with an earlier state", shallow)
        raise UsageError(
            f"{workspace} is not in a git repository, so there is nothing to compare with.",
            hint="A review compares with an earlier commit: run `git init` and commit the workspace first.",
        )
    if not reference.startswith("-"):
        found = _run_git(workspace, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        if not found.returncode:
            return found.stdout.decode().strip()
    if _run_git(workspace, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        raise UsageError(
            "Nothing is committed yet, so there is nothing to compare with.", hint="Commit the workspace first."
        )
    names = _run_git(workspace, "for-each-ref", "--format=%(refname:short)").stdout.decode("utf-8", "replace").split()
    close = [each for each in names if each.endswith(f"/{reference}")] or get_close_matches(reference, names, n=1)
    if close:
        hint = f"Did you mean {close[0]}?"
    elif shallow.stdout.strip() == b"true":
        hint = "This clone is shallow: fetch the rest with `git fetch --unshallow` (in a workflow, fetch-depth: 0)."
    else:
        hint = "Name a branch, a tag or a commit, such as --against main."
    raise UsageError(f"Git knows no commit {reference!r}.", hint=hint)


def _has_repository(workspace: Path) -> bool:
    """Whether ``workspace`` or a folder above it has a repository, which git may refuse to read nevertheless."""
    folder = workspace.resolve()
    return any(exists(parent / ".git") for parent in (folder, *folder.parents))


def compared_states(workspace: Path, reference: str) -> str:
    """The two commits that a review compares, in words, for a page that the client signs."""
    earlier = _run_git(workspace, "log", "-1", "--format=%h of %cs", f"{_find_commit(workspace, reference)}").stdout
    latest = _run_git(workspace, "log", "-1", "--format=%h of %cs", "HEAD").stdout
    more = _run_git(workspace, "status", "--porcelain", "--", ".").stdout
    return (
        f"commit {earlier.decode().strip()} against {latest.decode().strip()}"
        f"{', with what is not committed yet' if more.strip() else ''}"
    )


def workspace_state(workspace: Path) -> str:
    """The commit that a workspace is at and its day, in a sentence; that of writing where there is no commit."""
    try:
        found = _run_git(workspace, "log", "-1", "--format=%h of %cs", "HEAD")
    except UsageError:
        found = None
    if found is None or found.returncode:
        return f"Written on {now():%Y-%m-%d}, of a workspace without a commit."
    more = _run_git(workspace, "status", "--porcelain", "--", ".").stdout.strip()
    commit = found.stdout.decode().strip()
    return f"Written on {now():%Y-%m-%d} of commit {commit}{', with what is not committed yet' if more else ''}."


def _git_error(what: str, result: subprocess.CompletedProcess[bytes]) -> UsageError:
    """Git's own message; the lines after the first say what to do."""
    first, _, rest = result.stderr.decode("utf-8", "replace").strip().partition("\n")
    return UsageError(
        f"{what}: {first.removeprefix('fatal: ') or 'git refused it'}",
        hint=rest.strip() or "`git status` in that folder may say more.",
    )
