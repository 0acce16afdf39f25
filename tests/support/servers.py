"""Real database servers of the tests' own, on loopback, in folders that are thrown away."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

READER, ADMIN = "reader", "admin"
PASSWORDS = {READER: "read;only}", ADMIN: "may write"}
"""Invented, and awkward on purpose: a semicolon and a brace must survive the connection string."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def braced(value: str) -> str:
    """A value as an ODBC connection string writes it when it holds odd characters."""
    return "{" + value.replace("}", "}}") + "}"


class Server:
    """What the two servers have in common: a folder, a process, and statements run as the administrator."""

    driver = ""
    account = ""
    main_database = ""
    session_table = ("", "")
    shutdown_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="s2s-server-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def as_user(self, *command: str) -> list[str]:
        """``command``, under an account that is not root: both servers refuse to run as root."""
        if os.getuid() != 0:
            return list(command)
        return ["setpriv", f"--reuid={self.account}", f"--regid={self.account}", "--init-groups", *command]

    def call(self, *command: str) -> None:
        """Run a command to its end; its output is in the error when it fails."""
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert ran.returncode == 0, (command, (ran.stdout + ran.stderr).decode(errors="replace"))

    def own(self, path: Path) -> None:
        """Give ``path`` to the server's account."""
        if os.getuid() == 0:
            account = pwd.getpwnam(self.account)
            os.chown(path, account.pw_uid, account.pw_gid)

    def spawn(self, *command: str) -> None:
        """Start the server and wait until it answers."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(self.as_user(*command), cwd=self.folder, stdout=out, stderr=out)
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self._process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
        raise AssertionError(log.read_text(errors="replace"))

    def stop(self) -> None:
        """Stop the server at once, as a crash would."""
        if self._process is not None:
            subprocess.run(["pkill", "-9", "-P", str(self._process.pid)], check=False)
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def shut_down(self) -> None:
        """Shut the server down as its administrator does: it ends its connections, and keeps what was committed."""
        assert self._process is not None
        self._process.send_signal(self.shutdown_signal)
        self._process.wait(timeout=60)
        self._process = None

    def start(self) -> None:
        """Start the server."""
        raise NotImplementedError

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connection(self, database: str, *, login: str = READER, port: int | None = None, **options: str) -> str:
        """An ODBC connection string."""
        more = "".join(f";{name}={value}" for name, value in options.items())
        return (
            f"Driver={{{self.driver}}};Server=127.0.0.1;Port={port or self.port};Database={database};"
            f"UID={login};PWD={braced(PASSWORDS[login])}{more}"
        )

    def execute(self, database: str, *statements: str) -> None:
        """Run statements as the administrator."""
        import pyodbc

        with closing(pyodbc.connect(self.connection(database, login=ADMIN), autocommit=True)) as connection:
            for statement in statements:
                connection.execute(statement).close()

    def row(self, database: str, query: str) -> tuple[Any, ...]:
        """The first row of a query."""
        import pyodbc

        with closing(pyodbc.connect(self.connection(database, login=ADMIN), autocommit=True)) as connection:
            return tuple(connection.execute(query).fetchone())

    def sessions(self, login: str) -> int:
        """How many sessions a login has now."""
        table, column = self.session_table
        return int(self.row(self.main_database, f"select count(*) from {table} where {column} = '{login}'")[0])

    def fresh_database(self) -> str:
        """A new, empty database that the reader may read."""
        raise NotImplementedError


class Postgres(Server):
    """A PostgreSQL server."""

    driver = "PostgreSQL Unicode"
    account = "postgres"
    main_database = "postgres"
    session_table = ("pg_stat_activity", "usename")
    shutdown_signal = signal.SIGINT  # which does not wait for its clients to leave

    def __init__(self) -> None:
        super().__init__()
        self._programs = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: float(path.name)) / "bin"
        self._data = self.folder / "data"
        self._data.mkdir()
        self.own(self._data)
        secret = self.folder / "secret"
        secret.write_text(PASSWORDS[ADMIN])
        self.own(secret)
        initdb = str(self._programs / "initdb")
        self.call(
            *self.as_user(initdb, "-D", str(self._data), "-U", ADMIN, f"--pwfile={secret}", "-A", "scram-sha-256"),
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        self.start()
        quoted = PASSWORDS[READER].replace("'", "''")
        self.execute("postgres", f"create role {READER} login password '{quoted}'")

    def start(self) -> None:
        """Start the server."""
        settings = (
            "fsync=off",
            "full_page_writes=off",
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            "timezone=UTC",
        )
        words = [word for setting in settings for word in ("-c", setting)]
        self.spawn(str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self._data), *words)
        self._wait()

    def _wait(self) -> None:
        import pyodbc

        for _ in range(200):
            try:
                self.execute("postgres", "select 1")
            except pyodbc.Error:
                time.sleep(0.05)
            else:
                return

    def fresh_database(self, *, encoding: str = "UTF8") -> str:
        """A new database."""
        self._databases += 1
        name = f"client_{self._databases}"
        self.execute("postgres", f"create database {name} encoding '{encoding}' template template0 locale 'C'")
        self.execute(
            name,
            f"grant usage on schema public to {READER}",
            f"alter default privileges in schema public grant select on tables to {READER}",
        )
        return name


class MariaDb(Server):
    """A MariaDB server."""

    driver = "MariaDB Unicode"
    account = "mysql"
    main_database = "information_schema"
    session_table = ("processlist", "user")

    def __init__(self) -> None:
        super().__init__()
        self._data = self.folder / "data"
        self._data.mkdir()
        self.own(self._data)
        self.own(self.folder)
        self.call(
            *self.as_user("mariadb-install-db", "--no-defaults", f"--datadir={self._data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
            f"--tmpdir={self.folder}",  # two installations at a time were seen to meet in /tmp
        )
        self.start()
        statements = [
            f"create user {login}@'127.0.0.1' identified by '{secret}'" for login, secret in PASSWORDS.items()
        ]
        statements.append(f"grant all on *.* to {ADMIN}@'127.0.0.1' with grant option")
        self._as_root(";".join(statements))
        self.database = self.fresh_database()

    def _as_root(self, sql: str) -> None:
        self.call("mariadb", "--no-defaults", f"--socket={self._data}/socket", "-u", "root", "-e", sql)

    def start(self) -> None:
        """Start the server."""
        self.spawn(
            shutil.which("mariadbd") or "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self._data}/socket",
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
        )

    def fresh_database(self) -> str:
        """A new database."""
        self._databases += 1
        name = f"client_{self._databases}"
        self._as_root(f"create database {name}; grant select on {name}.* to {READER}@'127.0.0.1'")
        return name


class Proxy:
    """A TCP proxy that cuts every connection, or falls silent, once so many bytes came back from the server.

    With ``once`` it cuts the one connection, and lets others be made. ``passed`` is how many bytes had come back after
    each answer.
    """

    def __init__(self, port: int, *, after: int, cuts: bool, once: bool = False) -> None:
        self.passed: list[int] = []
        self._once = once
        self._target = port
        self._left = after
        self._cuts = cuts
        self._sockets: list[socket.socket] = []
        self._speaks = threading.Event()
        self._speaks.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Forward nothing more, and say so to nobody, as a network does that lost a connection."""
        self._speaks.clear()

    def speak(self) -> None:
        """Forward again, what is on its way too."""
        self._left = sys.maxsize
        self._speaks.set()

    def cut(self) -> None:
        """Cut every connection, and each new one as soon as the server answers, until it is to speak again."""
        self._cuts, self._left = True, 0
        self._end_connections()

    def forget(self) -> None:
        """Forward again, for new connections: both ends of those that were there learn that they are lost."""
        self._end_connections()
        self.speak()

    def _end_connections(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:  # noqa: FBT001 - a thread's arguments are positional
        with suppress(OSError):
            while data := source.recv(16_384):
                if counted:
                    self._left -= len(data)
                    self.passed.append(len(data) + (self.passed[-1] if self.passed else 0))
                    if self._left < 0:
                        if self._once:
                            self._left = sys.maxsize
                        if self._cuts:
                            break
                        self.silence()
                self._speaks.wait()
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Stop listening, and let go who waits."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # which closing alone does not tell the thread that accepts
        self._listener.close()
        self.speak()


@contextmanager
def cutting(port: int, *, cut_after: int, once: bool = False) -> Iterator[Proxy]:
    """A proxy to ``port`` that cuts after ``cut_after`` bytes."""
    with closing(Proxy(port, after=cut_after, cuts=True, once=once)) as proxy:
        yield proxy


@contextmanager
def falling_silent(port: int, *, after: int = sys.maxsize) -> Iterator[Proxy]:
    """A proxy to ``port`` that falls silent after so many bytes."""
    with closing(Proxy(port, after=after, cuts=False)) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole session."""
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server for the whole session."""
    server = MariaDb()
    yield server
    server.remove()
