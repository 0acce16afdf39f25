"""Plans, runs and faults as text and as JSON; pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.sync.rules import RULES
from engine.text import duration_text, plural, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.plan import Change, Counts, Outcome, Plan, Problem

SIGNS = {"insert": "+", "update": "~", "delete": "-", "resend": "="}


def plan_text(plan: Plan) -> str:
    """A plan as people read it: where the rows went, what changes, what is wrong, what to do next."""
    lines = [f"{plan.project} · {plan.entity} · plan {plan.digest}", *_count_lines(plan.counts)]
    if plan.batches:
        batches = f"{plan.batches:,} {'batch' if plan.batches == 1 else 'batches'}"
        lines.append(f"  sending      {batches}: {plan.requests:,} requests, about {duration_text(plan.seconds)}")
    else:
        lines.append("  sending      nothing: Stock2Shop has it all")
    lines += _changes(plan)
    lines += _problems("quarantine: never sent, never removed", plan.quarantine, plan.quarantine_rules)
    lines += _problems("warnings: sent all the same", plan.warnings, plan.warning_rules)
    lines += [f"note: {note}" for note in plan.notes]
    for violation in plan.violations:
        lines += ["", f"STOPPED BY {violation.guard}: {violation.message}", f"  {violation.hint}"]
    if plan.violations:
        lines.append(
            f"  Or approve exactly this plan: s2s run {plan.project} --entity {plan.entity} --expect {plan.digest}"
        )
    return "\n".join(lines)


def outcome_text(outcome: Outcome) -> str:
    """A run as people read it: one line where all is well, and what wants attention."""
    plan, counts = outcome.plan, outcome.plan.counts
    planned = counts.inserts + counts.updates + counts.resends + counts.deletes
    if planned:
        kinds = {
            "new": counts.inserts - counts.replaced,
            "changed": counts.updates,
            "removed": counts.deleted + counts.flagged_delete,
            "recreated": counts.replaced,
            "sent again": counts.resends,
        }
        summary = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)
        share = f"{outcome.sent:,}" if outcome.sent == planned else f"{outcome.sent:,} of {planned:,}"
        done = f"{share} acknowledged ({summary})"
    else:
        done = "nothing to send"
    headline = (
        f"{plan.project} · {plan.entity} · run {outcome.run_id}: {done},"
        f" {outcome.requests:,} {plural(outcome.requests, 'request')}, {duration_text(outcome.seconds)}"
    )
    lines = [
        headline,
        *_count_lines(counts),
        *_rule_summary("quarantine", plan.quarantine_rules, f"s2s quarantine list {plan.project}"),
        *_rule_summary("warnings", plan.warning_rules, f"s2s plan {plan.project} --full"),
        *(f"note: {note}" for note in plan.notes),
    ]
    if outcome.refused:
        lines.append(
            f"Stock2Shop refused {outcome.refused:,} {plural(outcome.refused, 'row')}: look with"
            f" `s2s quarantine list {plan.project}`."
        )
    if outcome.message:
        lines.append(outcome.message)
    return "\n".join(lines)


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan for machines; names and meanings as in :class:`engine.model.plan.Plan`."""
    return {
        **asdict(plan),
        "changes": [
            {
                "key": change.key,
                "group": change.group,
                "kind": change.kind,
                "cause": change.cause,
                "columns": [{"column": name, "old": old, "new": new} for name, old, new in change.columns],
            }
            for change in plan.changes
        ],
    }


def outcome_json(outcome: Outcome, *, exit_code: int) -> dict[str, Any]:
    """A run for machines; names and meanings as in :class:`engine.model.plan.Outcome`."""
    plan = outcome.plan
    about = {"project": plan.project, "entity": plan.entity, "exit_code": exit_code}
    return {**about, **asdict(outcome), "plan": plan_json(plan)}


def failure_json(project: str, entity: str | None, *, exit_code: int, message: str) -> dict[str, Any]:
    """A run that failed, with the keys of :func:`outcome_json`; what is not known of it is None."""
    unknown = dict.fromkeys(("run_id", "sent", "refused", "requests", "seconds", "plan"))
    about = {"project": project, "entity": entity, "exit_code": exit_code}
    return {**about, **unknown, "outcome": "failed", "message": message, "extra": {}}


def _count_lines(counts: Counts) -> list[str]:
    rows = {
        "unchanged": counts.unchanged,
        "to send": counts.changed,
        "ignored": counts.ignored,
        "quarantined": counts.quarantined,
        "refused before": counts.refused,
    }
    summary = " + ".join(f"{number:,} {name}" for name, number in rows.items() if number) or "none"
    lines = [f"  source rows  {counts.source:,} = {summary}"]
    if counts.missing:
        fates = {
            "removed": counts.deleted,
            "kept": counts.retained,
            "held": counts.withheld,
            "refused before": counts.missing_refused,
        }
        summary = " + ".join(f"{number:,} {name}" for name, number in fates.items() if number)
        lines.append(f"  keys gone    {counts.missing:,} = {summary}")
    if counts.strays_refused:
        lines.append(
            f"  moved        {counts.strays_refused:,} still in another product, too: the removal was refused before"
        )
    return lines


def _changes(plan: Plan) -> list[str]:
    counts = plan.counts
    total = counts.inserts + counts.updates + counts.resends + counts.deletes
    if not total:
        return []
    kinds = {
        "new": counts.inserts,
        "changed": counts.updates,
        "removed": counts.deletes,
        "sent again": counts.resends,
    }
    lines = ["", "changes: " + ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)]
    if plan.columns:
        lines.append("  by column: " + ", ".join(f"{name} {number:,}" for name, number in plan.columns.items()))
    for change in plan.changes:
        lines += _change(change)
    if len(plan.changes) < total:
        lines.append(f"  … and {total - len(plan.changes):,} more: --all-changes shows them")
    return lines


def _change(change: Change) -> list[str]:
    product = f"  (product {change.group})" if change.group != change.key else ""
    cause = f"  {change.cause}" if change.cause else ""
    return [
        f"  {SIGNS[change.kind]} {change.key}{product}{cause}",
        *(f"      {name}: {short(old)} → {short(new)}" for name, old, new in change.columns),
    ]


def _problems(title: str, problems: Sequence[Problem], rules: Mapping[str, int]) -> list[str]:
    if not rules:
        return []
    lines = ["", title]
    for rule, count in rules.items():
        lines.append(f"  {rule}: {count:,} {plural(count, 'row')}: {RULES[rule].reason}")
        shown = [problem for problem in problems if problem.rule == rule]
        lines += [f"      {problem.key or '(no code)'}  {problem.column}: {short(problem.value)}" for problem in shown]
        # In one column each problem is a row of its own, also where several rows have one key.
        columns = {problem.column for problem in shown}
        if count > (len(shown) if len(columns) == 1 else len({problem.key for problem in shown})):
            lines.append("      …")
        lines.append(f"    {RULES[rule].remedy}")
    return lines


def _rule_summary(title: str, rules: Mapping[str, int], command: str) -> list[str]:
    """One line for what a plan lists in full."""
    if not rules:
        return []
    summary = ", ".join(f"{rule} {count:,}" for rule, count in rules.items())
    return [f"  {title:<11}  {summary}: {command}"]
