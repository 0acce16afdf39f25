"""What a change to a mapping does: the project as it is against the same project at a git reference.

Both are rehearsed on their own fixtures, so no database is needed: the SQL, the sources of each field, and the
documents that would go to Stock2Shop, compared key by key.
"""

from __future__ import annotations

import difflib
import io
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.contract import ENTITIES
from engine.errors import ConfigError, UsageError
from engine.lineage import trace
from engine.project import load
from engine.rehearsal import entities, rehearsals, rehearse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.lineage import Trace
    from engine.model import Project
    from engine.rehearsal import Rehearsal

SHOWN = 5
"""How many changed keys of each kind a review shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A Stock2Shop field that is new, gone, or fed by something else; ``before`` and ``after`` are expressions."""

    field: str
    kind: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """What becomes of one key of the fixtures; ``values`` are places in the document, with old and new."""

    key: str
    kind: str
    values: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityReview:
    """One entity: its SQL as a unified diff, its fields, its documents, and the keys that quarantine gained or lost."""

    entity: str
    sql: str
    fields: tuple[FieldChange, ...]
    documents: tuple[DocumentChange, ...]
    quarantined: tuple[str, ...]
    released: tuple[str, ...]
    rows: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a change does to one project. ``settings`` is a unified diff of project.toml and the order statements."""

    project: str
    against: str
    settings: str
    entities: tuple[EntityReview, ...]

    @property
    def changed(self) -> bool:
        """Whether there is anything to review."""
        return bool(self.settings) or any(
            each.sql or each.fields or each.documents or each.quarantined or each.released or each.faults
            for each in self.entities
        )


@contextmanager
def at_reference(workspace: Path, reference: str) -> Iterator[Path]:
    """The workspace as it stood at a git reference, in a folder that is gone afterwards.

    Raises :class:`UsageError` where there is no git, no repository or no such reference.
    """
    command = ["git", "-C", str(workspace), "archive", "--format=tar", reference, "--", "."]
    try:
        made = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - git, with a reference as an argument
    except OSError:
        raise UsageError("There is no git here.", hint="Install git, or put it on the PATH.") from None
    if made.returncode or reference.startswith("-"):
        said = made.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(
            f"The workspace at {reference!r} cannot be read: {said[0] if said else 'git refused it'}.",
            hint="Name a branch, a tag or a commit, such as --against main.",
        )
    with tempfile.TemporaryDirectory(prefix="s2s-review-", ignore_cleanup_errors=True) as folder:
        with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
            members = [member for member in archive.getmembers() if member.isfile() or member.isdir()]
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, members=members, **safe)  # type: ignore[arg-type]  # noqa: S202 - git's own archive
        (Path(folder) / "projects").mkdir(exist_ok=True)
        yield Path(folder)


def review(name: str, *, workspace: Path, then: Path, against: str) -> Review:
    """Compare the project ``name`` of ``workspace`` with the same of ``then``; a new one is compared with nothing.

    Raises :class:`ConfigError` where the project as it is now cannot be loaded; what is wrong with a view is among
    the faults of its entity.
    """
    now = load(name, workspace=workspace, environ={}, offline=True)
    try:
        before: Project | None = load(name, workspace=then, environ={}, offline=True)
    except ConfigError:
        before = None
    found = []
    projects = [each for each in (before, now) if each is not None]
    with rehearsals(projects) as stage:
        for entity in dict.fromkeys((*entities(now), *(entities(before) if before else ()))):
            ran: dict[str, Rehearsal] = {}
            faults = []
            for side, project in (("before", before), ("after", now)):
                if project is None or entity not in project.entities:
                    continue
                try:
                    ran[side] = rehearse(stage, project, entity)
                except ConfigError as error:
                    if side == "after":
                        faults += [f"{fault.where}: {fault.message}" for fault in error.faults]
            found.append(_entity(entity, ran, before=before, now=now, faults=faults))
    return Review(
        project=name,
        against=against,
        settings="".join(_text_diffs(before.root if before else None, now.root)),
        entities=tuple(found),
    )


def review_markdown(reviewed: Review) -> str:
    """A review as a comment for a pull request."""
    lines = [f"## {reviewed.project}: the mapping against `{reviewed.against}`", ""]
    if not reviewed.changed:
        return "\n".join([*lines, "Nothing changes.", ""])
    for each in reviewed.entities:
        lines += _entity_markdown(each)
    if reviewed.settings:
        lines += ["### Settings and order statements", "", "```diff", reviewed.settings.rstrip(), "```", ""]
    return "\n".join(lines)


def _entity_markdown(each: EntityReview) -> list[str]:
    kinds = {kind: sum(change.kind == kind for change in each.documents) for kind in ("insert", "update", "delete")}
    said = ", ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in kinds.items() if count)
    lines = [
        f"### {each.entity.capitalize()}",
        "",
        f"On {each.rows:,} rows of fixtures: {said or 'no document changes'}.",
    ]
    for title, keys in (("Newly in quarantine", each.quarantined), ("No longer in quarantine", each.released)):
        if keys:
            lines.append(f"{title}: {', '.join(keys)}.")
    lines += [f"**It does not run:** {fault}" for fault in each.faults]
    if each.fields:
        lines += ["", "| field | | before | after |", "| --- | --- | --- | --- |"]
        lines += [f"| {c.field} | {c.kind} | {_code(c.before)} | {_code(c.after)} |" for c in each.fields]
    if each.documents:
        lines += ["", "| key | | place | before | after |", "| --- | --- | --- | --- | --- |"]
        for kind in kinds:
            of_kind = [change for change in each.documents if change.kind == kind]
            for change in of_kind[:SHOWN]:
                rows = change.values or (("", "", ""),)
                lines += [
                    f"| {change.key} | {kind} | {p} | {_code(old)} | {_code(new)} |" for p, old, new in rows[:SHOWN]
                ]
            if len(of_kind) > SHOWN:
                lines.append(f"| … | {kind} | {len(of_kind) - SHOWN:,} more | | |")
    if each.sql:
        lines += ["", "```diff", each.sql.rstrip(), "```"]
    return [*lines, ""]


def _code(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return f"`{flat[:120]}{'…' if len(flat) > 120 else ''}`" if flat else ""  # noqa: PLR2004 - a cell's width


def _entity(
    entity: str, ran: Mapping[str, Rehearsal], *, before: Project | None, now: Project, faults: Sequence[str]
) -> EntityReview:
    old, new = ran.get("before"), ran.get("after")
    held = [{str(problem.key) for problem in side.quarantine} if side else set() for side in (old, new)]
    return EntityReview(
        entity=entity,
        sql=_unified(old.sql if old else "", new.sql if new else "", f"{entity}.sql") if new or not faults else "",
        fields=tuple(_fields(_traces(old, before, entity), _traces(new, now, entity))) if not faults else (),
        documents=tuple(_documents(old, new)) if not faults else (),
        quarantined=tuple(sorted(held[1] - held[0])),
        released=tuple(sorted(held[0] - held[1])) if new else (),
        rows=new.counts.source if new else 0,
        faults=tuple(faults),
    )


def _traces(ran: Rehearsal | None, project: Project | None, entity: str) -> dict[str, Trace]:
    if ran is None or project is None:
        return {}
    found = trace(ran.query, dialect=project.source.dialect, entity=ENTITIES[entity])
    return {each.field.name: each for each in found}


def _fields(before: Mapping[str, Trace], after: Mapping[str, Trace]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        kind = "added" if old is None else "removed" if new is None else "fed by something else"
        if old is None or new is None or (old.sources, old.expression) != (new.sources, new.expression):
            yield FieldChange(
                field=name, kind=kind, before=old.expression if old else "", after=new.expression if new else ""
            )


def _documents(old: Rehearsal | None, new: Rehearsal | None) -> Iterator[DocumentChange]:
    """By key: what a run would send after the change, had everything been sent before it."""
    before, after = (dict(ran.documents) if ran else {} for ran in (old, new))
    held = {str(problem.key) for problem in new.quarantine} if new else set()
    for key in sorted({*before, *after}):
        if key not in before:
            yield DocumentChange(key=key, kind="insert")
        elif key not in after:
            if key not in held:  # what stands in quarantine is never removed
                yield DocumentChange(key=key, kind="delete")
        elif before[key] != after[key]:
            flat = [dict(_flat(side[key])) for side in (before, after)]
            values = tuple(
                (place, flat[0].get(place, ""), flat[1].get(place, ""))
                for place in sorted({*flat[0], *flat[1]})
                if flat[0].get(place) != flat[1].get(place)
            )
            yield DocumentChange(key=key, kind="update", values=values)


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a document by their places; entries of a list go by what names them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            names = (
                [inner[name] for name in ("tier", "description", "key", "name") if name in inner]
                if isinstance(inner, dict)
                else []
            )
            yield from _flat(inner, f"{place}[{names[0] if names else number}]")
    else:
        yield place, "" if value is None else str(value)


def _text_diffs(before: Path | None, now: Path) -> Iterator[str]:
    """Unified diffs of project.toml and the order statements."""
    names = [
        "project.toml",
        *sorted({f"orders/{p.name}" for root in (before, now) if root for p in root.glob("orders/*.sql")}),
    ]
    for name in names:
        old, new = (root / name if root else None for root in (before, now))
        texts = [path.read_text("utf-8-sig") if path and path.is_file() else "" for path in (old, new)]
        yield _unified(texts[0], texts[1], name)


def _unified(before: str, after: str, name: str) -> str:
    lines = difflib.unified_diff(
        before.strip().splitlines(), after.strip().splitlines(), f"a/{name}", f"b/{name}", lineterm="", n=2
    )
    return "".join(f"{line}\n" for line in lines)
