"""The example workflow: whoever opens a pull request gets no token and no say in which engine runs."""

from __future__ import annotations

import re
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "docs" / "examples" / "mapping-review.yml"


def jobs() -> dict[str, str]:
    """The text of each job, without comments."""
    text = re.sub(r"(?m)\s+# .*$|^#.*$", "", WORKFLOW.read_text("utf-8")).partition("\njobs:\n")[2]
    parts = re.split(r"(?m)^  (\w+):$", text)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_job_that_runs_the_branch_may_not_write() -> None:
    """It has no secret either, and leaves no credentials behind for what it runs."""
    review = jobs()["review"]
    assert re.findall(r"(?m)^    permissions:\n((?:      .*\n)+)", review) == ["      contents: read\n"]
    assert "token" not in review
    assert "secrets." not in review
    assert review.count("persist-credentials: false") == review.count("actions/checkout@") == 2
    assert "ref: ${{ github.event.pull_request.base.sha }}\n          path: base" in review
    installs = ["--require-hashes -r base/wheels/requirements.txt", "--no-deps base/wheels/*.whl"]
    assert re.findall(r"pip install (.*)", review) == installs


def test_the_job_that_may_comment_runs_nothing_of_the_branch() -> None:
    """It checks nothing out and installs nothing."""
    comment = jobs()["comment"]
    assert "pull-requests: write" in comment
    assert "checkout" not in comment
    assert "pip" not in comment
    assert "s2s" not in comment


def test_actions_are_pinned_and_no_value_of_the_pull_request_is_a_part_of_a_command() -> None:
    """A tag can be moved, and a branch's name can hold a command."""
    text = WORKFLOW.read_text("utf-8")
    assert "\npermissions: {}\n" in text
    assert re.findall(r"uses: (?!\S+@[0-9a-f]{40} # v\d)", text) == []
    for command in re.findall(r"run: (?:\|\n(?:          .*\n)+|.*\n)", text):
        assert "${{" not in command
