"""Find e-mail addresses that are none, by the library email-validator.

In: the addresses in the rows that landed, each looked at once. Out: ``run.malformed_email``. No network is used: the
syntax counts, not whether a domain exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.mapping.engine_sql import render_sql
from engine.sync.layout import MAX_WINDOW_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.state.store import State


def find_malformed_emails(state: State, columns: Sequence[str]) -> None:
    """Fill ``run.malformed_email`` with the values of ``columns`` of ``run.landed`` that are not one e-mail address.

    Rows that did not change are not in ``run.landed``, so a quiet run looks at none.
    """
    import pyarrow as pa

    state.run_with_retry(render_sql("email.sql", columns=columns))
    total = int(state.value("select count(*) from run.email"))
    for after in range(0, total, MAX_WINDOW_ROWS):
        found = state.rows(
            "select value from run.email where position > $1 and position <= $2", [after, after + MAX_WINDOW_ROWS]
        )
        malformed = [value for (value,) in found if not is_email_address(value)]
        if malformed:
            with state.registered("malformed", pa.table({"value": malformed})):
                state.run("insert into run.malformed_email from malformed")
    state.run("drop table run.email")


def is_email_address(text: str) -> bool:
    """Whether ``text`` is one e-mail address, without a name beside it.

    An address in a reserved domain such as ``.local`` counts: its syntax is right, and ERPs have them.

    >>> is_email_address("thandi@example.com"), is_email_address("thandi@example")
    (True, False)
    """
    from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

    name, dot, top = text.rpartition(".")
    if top.lower() in SPECIAL_USE_DOMAIN_NAMES:
        text = f"{name}{dot}com"
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True
