"""Read a workspace as it was at a git reference."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def at_reference(workspace: Path, reference: str) -> Iterator[Path]:
    """The workspace as it stood at a git reference, in a folder that is gone afterwards.

    Where the commit has no such folder it is an empty workspace. Raises :class:`UsageError` where there is no git, no
    repository or no such commit.
    """
    commit = _find_commit(workspace, reference)
    with tempfile.TemporaryDirectory(prefix="s2s-review-", ignore_cleanup_errors=True) as folder:
        if not _run_git(workspace, "cat-file", "-e", f"{commit}:./").returncode:
            made = _run_git(workspace, "archive", "--format=tar", commit, "--", ".")
            if made.returncode:
                raise _git_error(f"The workspace at {reference!r} cannot be read", made)
            with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
                archive.extractall(folder, **_safe(archive))  # noqa: S202 - git's own archive, filtered
        (Path(folder) / "projects").mkdir(exist_ok=True)
        yield Path(folder)


def _run_git(workspace: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(workspace), *words], capture_output=True, check=False)  # noqa: S603, S607 - git, without a shell
    except OSError:
        raise UsageError("There is no git here.", hint="Install git, or put it on the PATH.") from None


def _find_commit(workspace: Path, reference: str) -> str:
    """The commit that a reference names. Raises :class:`UsageError` that says why there is none."""
    there = _run_git(workspace, "rev-parse", "--is-shallow-repository")
    if there.returncode:
        raise _git_error(f"{workspace} cannot be compared with an earlier state", there)
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
    elif there.stdout.strip() == b"true":
        hint = "This clone is shallow: fetch the rest with `git fetch --unshallow` (in a workflow, fetch-depth: 0)."
    else:
        hint = "Name a branch, a tag or a commit, such as --against main."
    raise UsageError(f"Git knows no commit {reference!r}.", hint=hint)


def compared_states(workspace: Path, reference: str) -> str:
    """The two commits that a review compares, in words, so that what was signed can be found again."""
    earlier = _run_git(workspace, "log", "-1", "--format=%h of %cs", f"{_find_commit(workspace, reference)}").stdout
    now = _run_git(workspace, "log", "-1", "--format=%h of %cs", "HEAD").stdout
    more = _run_git(workspace, "status", "--porcelain", "--", ".").stdout
    return (
        f"commit {earlier.decode().strip()} against {now.decode().strip()}"
        f"{', with what is not committed yet' if more.strip() else ''}"
    )


def _git_error(what: str, made: subprocess.CompletedProcess[bytes]) -> UsageError:
    """Git's own words; what it says after the first line tells what to do."""
    first, _, rest = made.stderr.decode("utf-8", "replace").strip().partition("\n")
    return UsageError(
        f"{what}: {first.removeprefix('fatal: ') or 'git refused it'}",
        hint=rest.strip() or "A review compares with what git keeps: `git init` and a first commit begin that.",
    )


def _safe(archive: tarfile.TarFile) -> dict[str, Any]:
    """What of an archive is taken out: files, folders, and links that stay inside of it where Python can tell."""

    def inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        try:
            return tarfile.data_filter(member, folder)
        except tarfile.FilterError:
            return None

    if hasattr(tarfile, "data_filter"):
        return {"filter": inside}
    return {"members": [member for member in archive.getmembers() if member.isfile() or member.isdir()]}
