"""A client's world while a history happens in it: the source, the project, the commands, and Stock2Shop."""

from __future__ import annotations

import json
import re
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from model import oracle, sources
from model.places import Fleet
from model.referee import Referee, ViolationError
from model.stock2shop import PASSWORD, USERNAME, Faults, Stock2Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model.commands import Result
    from model.history import History, Setting
    from model.oracle import Catalogue
    from model.places import Place
    from model.sources import Row, Source

MAX_SETTLING_RUNS = 2
"""So many runs bring Stock2Shop in step once nothing goes wrong any more; each may be stopped by a guard first."""

MAX_BLOCKED_RUNS = 6
"""Where one product is refused, the others are out, and the refused rows are quarantined, after so many runs."""


class World:
    """Everything that a history can touch. ``settle`` plays the end that every history must come to."""

    def __init__(self, history: History, folder: Path, place: Place, source: Source, shop: Stock2Shop) -> None:
        self.setting: Setting = history.setting
        self.place, self.source, self.shop = place, source, shop
        self.fleet = place if isinstance(place, Fleet) else None
        if self.fleet is not None:
            shop.on_network = self.fleet.fail
        self.entity = self.setting.entity
        self.rows: dict[int, Row] = {}
        self.next_row = 1
        self.hidden: frozenset[int] = frozenset()
        self.mode = "whole"
        self.reads: list[tuple[dict[int, Row], frozenset[int]]] = []
        self.account = "a/57"
        self.log: list[str] = []
        self.runs = self.kills = self.faults = 0
        self.referee = Referee(self)
        self._written: Any = None
        self.root = folder / "projects" / "acme"
        (self.root / "views").mkdir(parents=True)
        self.mapped = dict(oracle.MAPPINGS[self.entity])
        if self.entity == "products":
            self.mapped |= oracle.PRICES[self.setting.pricing]
        self._all_mapped = self.mapped
        self._do_map(without=())
        self._configure()

    # --- what there is ---

    @property
    def visible(self) -> list[Row]:
        """The rows that a read would give."""
        if self.mode == "empty":
            return []
        return [row for number, row in self.rows.items() if number not in self.hidden]

    def judged(self) -> Catalogue:
        """What the rules make of those rows."""
        return oracle.judge(self.entity, self.visible, self.mapped)

    def held(self) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """What the account holds: for each key the product and the document, once for each product it is in."""
        account = self.shop.accounts[self.account]
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        if self.entity == "customers":
            return {code: [(code, document)] for code, document in account.customers.items()}
        for (product, key), document in account.variants().items():
            found.setdefault(key, []).append((product, document))
        return found

    # --- steps ---

    def play(self, name: str, arguments: dict[str, Any]) -> None:
        """Do one step of a history."""
        self.log.append(f"{name} {arguments or ''}".rstrip())
        step: Callable[..., None] = getattr(self, f"_do_{name}")
        step(**arguments)

    def _numbers(self, row: int, many: int = 1) -> list[int]:
        numbers = sorted(self.rows)
        if not numbers:
            return []
        first = row % len(numbers)
        return (numbers[first:] + numbers[:first])[:many]

    def _do_insert(self, code: str, product: str, values: dict[str, str | None]) -> None:
        taken = {row["code"] for row in self.rows.values()}
        free = [one for one in (code, *(f"K{number}" for number in range(12))) if one not in taken]
        if not free:
            return
        number = self.next_row
        self.next_row += 1
        row: Row = dict.fromkeys(sources.COLUMNS[self.entity])
        row["code"] = free[0]
        if self.entity == "products":
            row |= {"product": product, "title": "Chair", "sku": "own", "size": "own", "qty": "1", "track": "true"}
        else:
            row |= {"email": f"{number}@example.com", "last": "Loo"}
        self.rows[number] = row
        for column, value in values.items():
            self._set(number, column, value)
        for column in ("sku", "size"):
            if column in row and row[column] == "own":
                self._set(number, column, "own")

    def _set(self, number: int, column: str, value: str | None) -> None:
        if value == "own":
            value = f"{column}-{number}"
        self.rows[number][column] = value

    def _do_change(self, row: int, column: str, value: str | None, many: int) -> None:
        for number in self._numbers(row, many):
            self._set(number, column, value)

    def _do_delete(self, row: int, many: int) -> None:
        for number in self._numbers(row, many):
            del self.rows[number]

    def _do_repeat(self, row: int) -> None:
        for number in self._numbers(row):
            self.rows[self.next_row] = dict(self.rows[number])
            self.next_row += 1

    def _do_revert(self, reads: int, row: int | None = None) -> None:
        if len(self.reads) < reads:
            return
        rows, hidden = self.reads[-reads]
        if row is None:
            self.rows, self.hidden = deepcopy(rows), hidden
            return
        numbers = sorted({*rows, *self.rows})
        if numbers:
            number = numbers[row % len(numbers)]
            if number in rows:
                self.rows[number] = dict(rows[number])
            else:
                del self.rows[number]

    def _do_hide(self, rows: list[int]) -> None:
        self.hidden = frozenset(number for row in rows for number in self._numbers(row))

    def _do_mode(self, mode: str) -> None:
        self.mode = mode

    def _do_map(self, without: Sequence[str]) -> None:
        """The view leaves out some columns."""
        self.referee.acknowledged.clear()
        self.mapped = {column: name for column, name in self._all_mapped.items() if column not in without}
        view = sources.view(self.entity, self.source.dialect, self.mapped)
        (self.root / "views" / f"{self.entity}.sql").write_text(view, "utf-8")

    def _do_token(self) -> None:
        account = self.shop.accounts[self.account]
        account.sync_token = str(int(account.sync_token) + 1)

    def _do_account(self, to: str) -> None:
        self.account = to
        self.referee.acknowledged.clear()
        self._configure()
        if self.referee.elsewhere and self.referee.acknowledged_at is None and self.held():
            self._do_rebind()  # a state that holds nothing does not know what this account holds

    def _do_console(self, item: int, how: str) -> None:
        account = self.shop.accounts[self.account]
        if self.entity == "customers":
            if account.customers:
                code = sorted(account.customers)[item % len(account.customers)]
                self.referee.forget_items(code=code)
                if how == "remove":
                    del account.customers[code]
                else:
                    account.customers[code]["first_name"] = "By Hand"
                self.referee.drifted.add(code)
            return
        variants = sorted(account.variants())
        if not variants:
            return
        product, key = variants[item % len(variants)]
        self.referee.drifted.add(key)
        self.referee.forget_items(product=product, code=key)
        if how == "remove":
            account.remove(product, key)
        elif how == "qty":
            account.products[product]["variants"][key]["qty"] = 77
        else:
            account.products[product]["fields"]["title"] = "By hand"
            self.referee.drifted |= set(account.products[product]["variants"])

    def _do_run(self, options: list[str], faults: dict[str, Any], *, fresh: bool = False) -> None:
        self.run("run", *options, faults=faults, fresh=fresh)

    def _do_besiege(self, refused: list[str], refusal: str) -> None:
        if self.mode != "whole" or self.referee.elsewhere or not self.visible:
            return
        for _ in range(MAX_BLOCKED_RUNS):
            result = self.run("run", faults={"refused": refused, "refusal": refusal})
            if result.code in {0, 3, 4}:
                return
        raise ViolationError("blocked", f"{refused} kept {MAX_BLOCKED_RUNS} runs from coming to their end")

    def _do_plan(self, faults: dict[str, Any]) -> None:
        self.run("plan", faults=faults)

    def _do_approve(self, how: str, faults: dict[str, Any]) -> None:
        plan = self.planned()
        if plan is None:
            return
        counts = plan["counts"]
        deletes = ["--approve-deletes", str(counts["removals"])]
        changes = ["--approve-changes", str(counts["inserts"] + counts["updates"])]
        approval = {"expect": ["--expect", plan["digest"]], "deletes": deletes, "both": [*deletes, *changes]}[how]
        self.run("run", *approval, faults=faults, planned=plan)

    def planned(self) -> dict[str, Any] | None:
        """What the engine says that it would do; None where it cannot say."""
        result = self.run("plan", "--output", "json", faults={})
        if result.code not in {0, 3}:
            return None
        plans: list[dict[str, Any]] | None = json.loads(result.out)["result"]
        return plans[0] if plans else None

    def _do_adopt(self, faults: dict[str, Any]) -> None:
        self.run("adopt", faults=faults)

    def _do_verify(self, faults: dict[str, Any], *, repair: bool) -> None:
        self.run("verify", *(["--repair"] if repair else []), faults=faults)

    def _do_retry(self) -> None:
        self.run("quarantine", faults={})

    def _do_rebind(self) -> None:
        self._expect_done(self.run("rebind", "--forget", faults={}))
        self._begin_with_what_is_held()

    def _do_lose_state(self) -> None:
        self.shop.late.clear()
        self.place.lose_state()
        self.referee.state_lost()
        self._begin_with_what_is_held()

    def _begin_with_what_is_held(self) -> None:
        """Adopt, from a source that can be read: a first load without it would leave what Stock2Shop has too much."""
        self.mode = "whole"
        self._expect_done(self.run("adopt", faults={}))

    # --- what only a fleet has ---

    def _do_look(self, how: str, code: str) -> None:
        words = {"explain": ["explain", "acme", code], "quarantine": ["quarantine", "list", "acme"]}
        self._write()
        self.shop.expect(Faults())
        result = self.place.run(words.get(how, [how, "acme"]), warm=self.setting.warm)
        self._tell(result)
        self.referee.look_at_a_look(result)

    def _do_wait(self) -> None:
        """The time is over in which Stock2Shop might still be at work on what a machine had sent that vanished."""
        if self.fleet is not None:
            self.fleet.wait()
            self.referee.time_passed()

    def _do_wake(self) -> None:
        if self.fleet is None:
            return
        self.shop.expect(Faults())
        for result in self.fleet.wake():
            with self.shop.lock:
                self._tell(result)
                self.referee.look_at_woken(result)
                self.shop.expect(Faults())

    def _do_clear_cache(self) -> None:
        if self.fleet is not None and self.fleet.home is None:
            self.fleet.clear_cache()

    def _do_move_project(self) -> None:
        if self.fleet is not None:
            self.shop.late.clear()
            for result in self.fleet.move():
                self._tell(result)
                self._expect_done(result)

    def _try_at_once(self, argv: list[str]) -> None:
        """Somebody does not wait until the lease of a machine that vanished has ended."""
        if self.fleet is None:
            return
        self.shop.expect(Faults())
        result = self.fleet.try_at_once(argv)
        if result is not None:
            self._tell(result)
            self.referee.look_at_held(result)

    def _take_late(self, batches: list[Any]) -> None:
        """What a machine had sent that vanished is taken after another command, unless that took too long."""
        if self.fleet is None or time.monotonic() - self.fleet.vanished_at > self.setting.read_timeout / 2:
            return
        for batch in batches:
            codes = self.shop.take_late(batch)
            self.log.append(f"    taken late: {sorted(codes)}")
            self.referee.arrived_late(codes)

    # --- commands ---

    def run(
        self,
        command: str,
        *options: str,
        faults: dict[str, Any],
        planned: dict[str, Any] | None = None,
        fresh: bool = False,
    ) -> Result:
        """Run a command on the project as it is now, with ``faults``, and have the referee look at what it did."""
        self._write()
        words = dict(faults)
        kill_after, network = words.pop("kill_after", None), words.pop("network", None)
        at = {int(number): name for number, name in words.pop("at", {}).items()}
        ever = words.pop("ever", None)
        refused = frozenset(words.pop("refused", ()))
        told = Faults(
            at=at, ever=tuple(ever) if ever else None, refused=refused, elsewhere=network is not None, **words
        )
        dies = kill_after is not None or any(name.startswith(("kill", "term", "freeze")) for name in at.values())
        argv = ["quarantine", "retry", "acme"] if command == "quarantine" else [command, "acme", *options]
        self._try_at_once(argv)
        self.referee.begin(told, killed=kill_after is not None)
        self.shop.expect(told)
        late, self.shop.late = self.shop.late, []
        if command != "quarantine":
            self.reads.append((deepcopy(self.rows), self.hidden))
        result = self.place.run(
            argv,
            started=self.shop.started,
            kill_after=kill_after,
            network=network,
            fresh=fresh and not dies,
            warm=self.setting.warm and not dies,
        )
        with self.shop.lock:
            self._tell(result)
            self.runs += command == "run"
            self.kills += result.code < 0
            self.faults += len(self.shop.befell) + (network is not None)
            self.referee.look(command, options, result, planned)
        self._take_late(late)
        return result

    def _tell(self, result: Result) -> None:
        """Note what was done, and what came of it."""
        said = " ".join(re.sub(r"\s+", " ", result.out + " | " + result.err).split())
        sent = [
            f"{'-' if one.removes else '+'}{one.product}/{one.code}{'' if one.taken else '(not taken)'}"
            for one in self.shop.sent
        ]
        self.log.append(
            f"    {self.place.name}$ {' '.join(result.argv[2:])} → {result.code}; {self.shop.befell or ''} sent {sent};"
            f" {said[:600]}"
        )

    def _write(self) -> None:
        now = (deepcopy(self.rows), self.hidden, self.mode)
        if now != self._written:
            sources.write(self.source, self.entity, *now)
            self._written = now

    def _configure(self) -> None:
        setting = self.setting
        base, source_id = self.account.split("/")
        lines = [
            "[source]",
            f'dialect = "{self.source.dialect}"',
            self.source.settings(),
            "[stock2shop]",
            f'url = "{self.shop.url(base)}"',
            f"source_id = {source_id}",
            f'username = "{USERNAME}"',
            "password = '${SOAK_PASSWORD}'",
            f"pace = 0\nbatch_variants = {setting.batch}\nretries = {setting.retries}",
            f"read_timeout = {setting.read_timeout}",
            f"[{self.entity}]",
            f'missing = "{setting.missing}"\nmax_deletes = {setting.max_deletes}\nmax_changes = {setting.max_changes}',
        ]
        if self.entity == "customers":
            lines.append('search_path = "/customers/elastic_search"')
        (self.root / "project.toml").write_text("\n".join(lines) + "\n", "utf-8")
        (self.root / ".env").write_text(f'SOAK_PASSWORD="{PASSWORD}"\n', "utf-8")
        (self.root / ".env").chmod(0o600)

    # --- the end ---

    def settle(self) -> None:
        """Nothing goes wrong any more, and what guards stop is approved: Stock2Shop is in step, and stays so."""
        self.log.append("settle")
        self.mode, self.hidden = "whole", frozenset()
        self._do_map(without=())
        if not self.rows:
            self._do_insert("K1", "P1", {"active": "Active"})
        if self.referee.elsewhere:
            self._do_rebind()
        self._converge()
        if self.fleet is not None:
            self._do_wake()
            self._do_wait()
            self._converge()
        self.log.append("every row is made sound")
        self._make_sound()
        self._converge()
        self.referee.in_step(self.judged(), strict=True)
        result = self.run("run", "--full", faults={})
        if self.shop.sent or result.code != 0:
            raise ViolationError("restless", f"a run --full after everything is in step ended with {result.code}")
        result = self.run("verify", faults={})
        if result.code != 0:
            raise ViolationError("verify", "verify finds a difference after everything is in step")

    def _converge(self) -> None:
        if self.referee.drifted:
            result = self.run("verify", "--repair", faults={})
            if result.code not in {0, 4}:
                raise ViolationError("exit code", f"verify --repair ended with {result.code}")
        if self.referee.refused:
            self.run("quarantine", faults={})
            self.referee.refused.clear()
        for _ in range(MAX_SETTLING_RUNS):
            result = self.run("run", faults={})
            if result.code == 3:
                plan = self.planned()
                if plan is None:
                    raise ViolationError("exit code", "a plan cannot be made although nothing is wrong")
                result = self.run("run", "--expect", plan["digest"], faults={}, planned=plan)
            if result.code in {0, 4}:
                return
        raise ViolationError("restless", f"{MAX_SETTLING_RUNS} runs without a fault came to no end")

    def _make_sound(self) -> None:
        """Give every row what it lacks: a code, a product, a flag, a price of its own."""
        seen: set[str] = set()
        for number, row in list(self.rows.items()):
            code = (row["code"] or "").strip()
            if not code:
                code = f"N{number}"
            if code in seen:
                del self.rows[number]
                continue
            seen.add(code)
            row["code"] = code
            if oracle.FLAGS.get((row["active"] or "").strip().lower()) not in {"active", "delete"}:
                row["active"] = "Active"
            if self.entity == "customers":
                row |= {"email": f"{number}@example.com", "news": "true"}
                continue
            row |= {"sku": f"sku-{number}", "size": f"size-{number}", "track": "true", "qty": "4", "cape": "2"}
            row |= {"prices": "Trade:5" if self.setting.pricing == "both" else "3,Trade:4", "price": "6", "trade": "5"}
            row |= {name: value for name, value in (("product", "P9"), ("title", "Sound")) if oracle.blank(row[name])}

    @staticmethod
    def _expect_done(result: Result) -> None:
        if result.code != 0:
            raise ViolationError("exit code", f"{' '.join(result.argv)} ended with {result.code}")
