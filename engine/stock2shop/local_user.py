"""The token and the pace of a Stock2Shop user, for all processes of this machine that share a state folder.

Both are in a small SQLite file of the folder, readable by its owner only, whose name is a hash of Stock2Shop's address
and the user name. A token is used until Stock2Shop refuses it, and renewed by one process at a time, under a lock; the
others then take the newer one. The file may be deleted at any time, and a damaged one is replaced: the next run logs
in. Where it cannot be used at all, the run keeps a token and a pace of its own, and says so.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, TypeVar

from engine.embedded import connect_own_sqlite
from engine.errors import StateError, UnavailableError
from engine.file_lock import file_lock
from engine.files import create_private_file, make_private_folder
from engine.stock2shop.exchange import host_of
from engine.stock2shop.transport import MAX_WAIT_SECONDS, RETRY_HINT
from engine.stock2shop.user import SteadyPace, User, check_of_password

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.model.settings import Stock2ShopSettings

    T = TypeVar("T")

FORMAT_VERSION = 1
"""The version of the file's table, kept as SQLite's ``user_version``. A file of another version is emptied."""

FILE_TIMEOUT_SECONDS = 10
"""How long to wait for another process that reads or writes the file, which takes it a millisecond."""

LOGIN_POLL_SECONDS = 0.05
"""How often to look whether another process has logged in."""

MAX_LOGIN_WAIT_SECONDS = 120.0
"""How long to wait for another process that logs in; longer, and Stock2Shop cannot be reached."""

_CREATE = """\
drop table if exists stock2shop_user;
create table stock2shop_user (token text, salt blob, password_check blob, next_turn real, reserved_at real);
insert into stock2shop_user (token) values ('');
"""

log = logging.getLogger(__name__)


def local_user(settings: Stock2ShopSettings, folder: Path) -> User:
    """The token and the pace that the runs of this machine share whose state is in ``folder``.

    Nothing is read or written before the first call.
    """
    file = UserFile(user_path(settings, folder), host=host_of(settings.url))
    return User(tokens=SharedTokens(file, settings.password), pace=SharedPace(file, settings.pace))


def user_path(settings: Stock2ShopSettings, folder: Path) -> Path:
    """The file of a user: its name has neither the user's name nor the password in it."""
    digest = hashlib.sha256(f"{settings.address}\0{settings.username}".encode()).hexdigest()
    return folder / f"stock2shop-{digest[:16]}.sqlite"


class UserFile:
    """A file with one row. Each call is a transaction of its own, and holds the file for about a millisecond."""

    def __init__(self, path: Path, *, host: str) -> None:
        self.path = path
        self._host = host
        self._usable = True

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What ``work`` gives, or None where the file cannot be used, which is said once.

        A damaged file is replaced by an empty one.
        """
        if not self._usable:
            return None
        try:
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # only its subclasses are about anything but the content
                    raise
                for path in (self.path.with_name(f"{self.path.name}-journal"), self.path):
                    path.unlink(missing_ok=True)
                return self._transact(work)
        except (sqlite3.Error, OSError, StateError) as error:
            self.give_up(error)
            return None

    def give_up(self, error: Exception) -> None:
        """Use the file no more in this run, and say why."""
        if self._usable:
            log.warning(
                "%s cannot be used, so this run logs in to Stock2Shop at %s by itself, and does not see the pace of"
                " other runs: %s",
                self.path,
                self._host,
                error,
            )
        self._usable = False

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        make_private_folder(self.path.parent)
        create_private_file(self.path)  # SQLite gives the journal beside it the same rights
        with closing(connect_own_sqlite(self.path, timeout=FILE_TIMEOUT_SECONDS)) as connection:
            # What a power cut may cost is a login.
            connection.execute("pragma synchronous = off")
            connection.execute("begin immediate")
            if connection.execute("pragma user_version").fetchone() != (FORMAT_VERSION,):
                for statement in _CREATE.split(";"):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {FORMAT_VERSION}")
            result = work(connection)
            connection.execute("commit")
            return result


class SharedTokens:
    """The token in a user's file; see :class:`engine.stock2shop.user.Tokens`. One object belongs to one session."""

    def __init__(self, file: UserFile, password: str) -> None:
        self._file = file
        self._password = password
        self._token = ""
        self._refused: set[str] = set()

    def get(self, log_in: Callable[[], str], *, wait: Callable[[float], None]) -> str:
        """The token in use. Where there is none, ``log_in`` authenticates, unless another process does so already.

        A token that another password got is not used: a password that is wrong shows at once, not at the next login.
        """
        if not self._token:
            self._token = self._load() or self._renew(log_in, wait)
        return self._token

    def discard(self, token: str) -> None:
        """Give ``token`` no more, because Stock2Shop refuses it; a newer one stays."""
        self._refused.add(token)
        if token == self._token:
            self._token = ""

    def _renew(self, log_in: Callable[[], str], wait: Callable[[float], None]) -> str:
        """The token that this process or another one gets by logging in, whichever has the lock first."""
        lock = self._file.path.with_suffix(".login.sqlite")
        waited = 0.0
        while waited < MAX_LOGIN_WAIT_SECONDS:
            with ExitStack() as stack:
                try:
                    held = stack.enter_context(file_lock(lock, seconds=0))
                except (OSError, StateError) as error:
                    self._file.give_up(error)
                    held = True
                if held:
                    # Whoever held it before may have logged in.
                    if not (token := self._load()):
                        token = log_in()
                        self._store(token)
                    return token
            wait(LOGIN_POLL_SECONDS)
            waited += LOGIN_POLL_SECONDS
        raise UnavailableError(
            f"Another run of the same user has been logging in to Stock2Shop for {MAX_LOGIN_WAIT_SECONDS:.0f} s.",
            hint=RETRY_HINT,
        )

    def _load(self) -> str:
        """The token of the file; blank where there is none that may be used."""
        row = self._file.transact(
            lambda connection: connection.execute("select token, salt, password_check from stock2shop_user").fetchone()
        )
        token, salt, check = row or ("", b"", b"")
        if not (isinstance(token, str) and isinstance(salt, bytes) and isinstance(check, bytes)):
            return ""
        if token in self._refused or not hmac.compare_digest(check, check_of_password(self._password, salt)):
            return ""
        return token

    def _store(self, token: str) -> None:
        salt = secrets.token_bytes(16)
        row = (token, salt, check_of_password(self._password, salt))
        self._file.transact(
            lambda connection: connection.execute(
                "update stock2shop_user set token = ?, salt = ?, password_check = ?", row
            )
        )


class SharedPace:
    """The turns in a user's file; see :class:`engine.stock2shop.user.Pace`. A session that waits has its turn already.

    Times are seconds of the machine's clock, which may be set. When it is set back, the turns that were planned keep
    their distance from the last reservation, so that no run waits for the time that comes again.
    """

    def __init__(self, file: UserFile, requests_per_second: float, *, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._interval = 1 / requests_per_second if requests_per_second > 0 else 0.0
        self._now = now
        self._own = SteadyPace(requests_per_second, now=time.monotonic)

    def reserve(self) -> float:
        """Reserve the next turn; gives the seconds until it comes."""
        if not self._interval:
            return 0.0
        seconds = self._file.transact(self._reserve)
        return self._own.reserve() if seconds is None else seconds

    def _reserve(self, connection: sqlite3.Connection) -> float:
        now = self._now()
        next_turn, reserved_at = connection.execute("select next_turn, reserved_at from stock2shop_user").fetchone()
        turn = now
        if isinstance(next_turn, float) and isinstance(reserved_at, float):
            ahead = min(next_turn - reserved_at, MAX_WAIT_SECONDS)
            turn = max(now, min(now, reserved_at) + ahead)
        connection.execute("update stock2shop_user set next_turn = ?, reserved_at = ?", (turn + self._interval, now))
        return turn - now
