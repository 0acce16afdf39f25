"""The token and the pace of a Stock2Shop user, for all machines of a fleet; see :mod:`engine.stock2shop.user`.

Both name the lease: a run that lost it gets neither a turn nor a token. A holder that vanished may still send with the
token that it has, so whoever takes over logs in once more, which ends that token at Stock2Shop.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from engine.errors import SyncError, UnavailableError
from engine.fleet.lease import renewing, take_lease
from engine.stock2shop.transport import MAX_WAIT_SECONDS, RETRY_HINT
from engine.stock2shop.user import User, check_of_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.fleet.database import FleetDatabase
    from engine.fleet.lease import Lease
    from engine.model.settings import Stock2ShopSettings

LOGIN_POLL_SECONDS = 0.1
"""How often to look whether another run has logged in."""

LOGIN_CLAIM_SECONDS = 90
"""How long a run may take to log in, before another one does. Where its machine died, its claim ends with its lease."""

MAX_LOGIN_WAIT_SECONDS = 180.0
"""How long to wait for others that log in; longer, and Stock2Shop cannot be reached."""

_IS_HELD = "exists (select 1 from lease where project = %(project)s and epoch = %(epoch)s)"

_CLAIMANT_IS_GONE = (
    "(position(' ' in login_by) > 0 and not exists (select 1 from lease as claimant where expires_at > now()"
    " and claimant.epoch || ' ' || claimant.project = substr(login_by, position(' ' in login_by) + 1)))"
)
"""An earlier version writes no lease into ``login_by``; its claims end by time alone."""


def fleet_user(settings: Stock2ShopSettings, lease: Lease) -> User:
    """The token and the pace of a user, shared by the fleet. Nothing is read or written before the first call."""
    digest = hashlib.sha256(f"{settings.address}\0{settings.username}".encode()).hexdigest()
    return User(
        tokens=FleetTokens(lease, digest[:32], settings.password), pace=FleetPace(lease, digest[:32], settings.pace)
    )


@contextmanager
def user_of_pull(database: FleetDatabase, project: str, settings: Stock2ShopSettings) -> Iterator[User]:
    """The token and the pace of a user inside the block, in which this machine alone pulls a project's orders.

    Raises :class:`LeaseError` where another machine pulls them.
    """
    lease = take_lease(database, f"{project}/pull")
    try:
        with renewing(lease):
            yield fleet_user(settings, lease)
    finally:
        with suppress(SyncError):  # it expires by itself
            lease.give_back(seconds=0.0, exit_code=None)


class FleetTokens:
    """The token of a user in PostgreSQL; one object belongs to one session."""

    def __init__(self, lease: Lease, name: str, password: str) -> None:
        self._lease = lease
        self._database = lease.database
        self._of = {**lease.key, "name": name}
        self._password = password
        self._token = ""
        self._refused: set[str] = set()

    def get(self, log_in: Callable[[], str], *, wait: Callable[[float], None]) -> str:
        """The token in use. Where there is none, ``log_in`` authenticates, unless another run does so already.

        Raises :class:`LeaseError` where the lease is lost.
        """
        self._lease.check()
        if not self._token:
            token = "" if self._lease.login_is_due else self._load()
            self._token = token or self._renew(log_in, wait)
        return self._token

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""
        self._refused.add(token)
        if token == self._token:
            self._token = ""

    def _renew(self, log_in: Callable[[], str], wait: Callable[[float], None]) -> str:
        """The token that this run or another one gets by logging in, whichever claims that first.

        A claim ends by itself, and holds no lock: a run that is frozen while it logs in stops nobody.
        """
        me = f"{secrets.token_hex(8)} {self._lease.epoch} {self._lease.project}"
        waited = 0.0
        self._database.rows("insert into stock2shop_user (name) values (%(name)s) on conflict do nothing", self._of)
        while waited < MAX_LOGIN_WAIT_SECONDS:
            claimed = self._database.row(
                "update stock2shop_user set login_by = %(me)s,"  # noqa: S608 - no value
                " login_until = now() + make_interval(secs => %(claim)s)"
                f" where name = %(name)s and (login_until < now() or login_by = %(me)s or {_CLAIMANT_IS_GONE})"
                f" and {_IS_HELD} returning 1",
                {**self._of, "me": me, "claim": LOGIN_CLAIM_SECONDS},
            )
            if claimed is not None:
                try:
                    # Whoever claimed it before may have logged in.
                    token = "" if self._lease.login_is_due else self._load()
                    if not token:
                        token = log_in()
                        self._store(token)
                        self._lease.logged_in()
                    return token
                finally:
                    self._database.rows(
                        "update stock2shop_user set login_until = '-infinity' where name = %(name)s"
                        " and login_by = %(me)s",
                        {**self._of, "me": me},
                    )
            if self._database.row(f"select 1 where {_IS_HELD}", self._of) is None:
                raise self._lease.lost()
            wait(LOGIN_POLL_SECONDS)
            waited += LOGIN_POLL_SECONDS
            if not self._lease.login_is_due and (token := self._load()):
                return token
        raise UnavailableError(
            f"Other runs of the same user have been logging in to Stock2Shop for {MAX_LOGIN_WAIT_SECONDS:.0f} s.",
            hint=RETRY_HINT,
        )

    def _load(self) -> str:
        """The token that is stored; blank where there is none that may be used."""
        row = self._database.row(
            "select token, salt, password_check from stock2shop_user where name = %(name)s", self._of
        )
        token, salt, check = row or ("", b"", b"")
        if (
            not token
            or token in self._refused
            or not hmac.compare_digest(check, check_of_password(self._password, salt))
        ):
            return ""
        return str(token)

    def _store(self, token: str) -> None:
        """Store a token. Raises :class:`LeaseError` where the lease is lost: the newer holder has a newer one."""
        salt = secrets.token_bytes(16)
        stored = self._database.row(
            "update stock2shop_user set token = %(token)s, salt = %(salt)s, password_check = %(check)s,"  # noqa: S608 - no value
            f" version = version + 1 where name = %(name)s and {_IS_HELD} returning 1",
            {**self._of, "token": token, "salt": salt, "check": check_of_password(self._password, salt)},
        )
        if stored is None:
            raise self._lease.lost()


class FleetPace:
    """The turns of a user in PostgreSQL, by its clock. A run that lost its lease gets none."""

    def __init__(self, lease: Lease, name: str, requests_per_second: float) -> None:
        self._lease = lease
        interval = 1 / requests_per_second if requests_per_second > 0 else 0.0
        self._values = {**lease.key, "name": name, "interval": interval, "longest": MAX_WAIT_SECONDS}

    def reserve(self) -> float:
        """Reserve the next turn; gives the seconds until it comes. Raises :class:`LeaseError` without a lease."""
        self._lease.check()
        for _ in range(2):
            row = self._lease.database.row(
                "update stock2shop_user set next_turn = make_interval(secs => %(interval)s)"  # noqa: S608 - no value
                " + greatest(now(), least(next_turn, now() + make_interval(secs => %(longest)s)))"
                f" where name = %(name)s and {_IS_HELD}"
                " returning extract(epoch from next_turn - now())::double precision - %(interval)s",
                self._values,
            )
            if row is not None:
                return max(0.0, float(row[0]))
            # The first request of the user: perhaps another run makes the row at the same moment.
            self._lease.database.rows(
                "insert into stock2shop_user (name) values (%(name)s) on conflict do nothing", self._values
            )
        raise self._lease.lost()
