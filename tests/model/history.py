"""Random histories: what happens to a client, its source and its Stock2Shop, drawn from one seed.

A history is a setting and a list of steps, all of them plain values, so that it can be printed, run again and made
shorter. A step's arguments are taken modulo what is there, so every part of a history is a history.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from model.oracle import LEAVING
from model.stock2shop import FAULTS, FLEET_FAULTS, LOST_FOR_FLEET, LOST_FOR_ONE, REFUSALS

Step = tuple[str, dict[str, Any]]

CODES = tuple(f"K{number}" for number in range(9))
PRODUCTS = ("P0", "P1", "P2", "K0")
"""The last is also the code of an item, as of a simple product."""

FLAGS = ("Active", "a", " ACTIVE ", "active\\publish", "Delete", "d", "Ignore", "false", "", None, "perhaps")
FLAG_WEIGHTS = (30, 8, 3, 3, 14, 4, 14, 4, 6, 6, 8)

VALUES: dict[str, dict[str, tuple[str | None, ...]]] = {
    "products": {
        "title": ("Old", "New", "Chair"),
        "prices": ("10", "12.50", "12.5", "10,Trade:8", "Trade:8", "9,Trade:8.25,VIP:7", None, "", "abc", "-5"),
        "price": ("10", "12.50", "12.5", "8", "0", None, "", "abc", "-5"),
        "trade": ("8", "7.5", None, "0", "-1"),
        "qty": ("5", "3", "0", "-2", "3.7", None, "some"),
        "cape": ("1", "0", None, "4"),
        "track": ("true", "false", "1", None, "perhaps"),
        "vendor": ("Acme", "Bolt", None, ""),
        "tags": ("red,blue", "blue, red", "blue", None),
        "season": ("summer", "winter", None),
        "barcode": ("111", "222", None),
        "size": ("same", "own", "own", None),
        "sku": ("S1", "own", "own", "own", None),
    },
    "customers": {
        "email": ("one@example.com", "two@example.com", "no address", None, "three@example.org"),
        "first": ("Ada", "Bea", None),
        "last": ("Loo", "Moo", ""),
        "news": ("true", "false", None, "perhaps"),
        "tier": ("Retail", "Trade", None),
        "street": ("1 Long St", "2 Short St", None),
        "city": ("Knysna", None),
        "street2": ("3 Back St", None, None),
        "city2": ("George", None),
        "note": ("late", None, "early"),
    },
}
"""Few values, so that what changes often changes back."""

ODD = frozenset({None, "", "abc", "-5", "-1", "some", "perhaps", "no address", "same", "S1"})
"""Values that say nothing or are wrong, and are drawn less often: a row that breaks a rule tests little else."""

PRICED = {"csv": ("prices",), "columns": ("price", "trade", "cape"), "both": ("prices", "price")}
TIERS_ONLY = ("Trade:8", "Trade:9.5,VIP:7", "Trade:9.50", None)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How the client's project is set up, and which Stock2Shop it meets."""

    entity: str = "products"
    dialect: str = "sqlite"
    pricing: str = "csv"
    missing: str = "delete"
    max_deletes: int = 3
    max_changes: int = 1000
    batch: int = 2
    retries: int = 0
    moves: bool = False
    warm: bool = False
    """Whether one process runs one command after the other, as an agent's worker does, until a kill is meant for it."""
    machines: int = 0
    """How many machines of a fleet share the project; 0 where one has it for itself."""

    @property
    def read_timeout(self) -> float:
        """Seconds to wait for an answer.

        In a fleet also those in which Stock2Shop may still be at work on a batch: so many that they pass when a history
        says so, however busy the machine is.
        """
        return 60.0 if self.machines else 1.0


@dataclass(frozen=True, kw_only=True)
class History:
    """A setting, and what happens in it."""

    seed: int
    setting: Setting
    steps: tuple[Step, ...]


def draw(
    seed: int, *, dialects: tuple[str, ...] = ("sqlite", "duckdb"), length: int = 9, fleet: bool = False
) -> History:
    """The history of a seed: about ``length`` moments after the first load, each of some edits and a command.

    In a ``fleet`` it happens to several machines, and machines and PostgreSQL have their share of what goes wrong.
    """
    dice = random.Random(seed)
    entity = dice.choice(("products", "products", "products", "customers"))
    setting = Setting(
        entity=entity,
        dialect=dice.choice(dialects),
        pricing=dice.choice(tuple(PRICED)),
        missing=dice.choice(("delete",) * 9 + ("keep",)),
        max_deletes=dice.choice((1, 2, 3, 100)),
        max_changes=dice.choice((4, 1000, 1000)),
        batch=dice.choice((1, 2, 3, 500)),
        retries=dice.choice((0, 0, 1)),
        moves=dice.random() < 0.5,
        warm=seed % 2 == 1,
        machines=dice.choice((2, 2, 3)) if fleet else 0,
    )
    drawn = _Drawing(dice, setting)
    for _ in range(dice.randint(3, 7)):
        drawn.insert(sound=True)
    drawn.run(fault_share=0.3)
    for _ in range(length):
        drawn.moment()
    return History(seed=seed, setting=setting, steps=tuple(drawn.steps))


class _Drawing:
    """A history while it is drawn."""

    def __init__(self, dice: random.Random, setting: Setting) -> None:
        self.dice, self.setting = dice, setting
        self.steps: list[Step] = []
        self.mode = "whole"
        self.columns = [
            column
            for column in VALUES[setting.entity]
            if setting.entity == "customers"
            or column not in {"prices", "price", "trade", "cape"}
            or column in PRICED[setting.pricing]
        ]

    def add(self, name: str, **arguments: Any) -> None:
        """Add a step."""
        self.steps.append((name, arguments))

    def moment(self) -> None:
        """Some edits, and what is done about them."""
        roll = self.dice.random()
        if roll < 0.22:
            self.regret()
        elif roll < 0.30:
            self.leave_together()
        elif roll < 0.34:
            self.besiege()
        else:
            for _ in range(self.dice.choice((1, 1, 1, 2, 2, 3))):
                self.edit()
            self.command()
        if self.mode != "whole" and self.dice.random() < 0.7:
            self.mode = "whole"
            self.add("mode", mode="whole")

    def regret(self) -> None:
        """Something changes, a run goes wrong, and it changes back."""
        for _ in range(self.dice.choice((1, 1, 2))):
            self.edit()
        self.run(fault_share=1.0)
        if self.dice.random() < 0.8:
            self.add("revert", reads=1)
        else:
            self.edit()
        self.command()

    def leave_together(self) -> None:
        """Several rows go; their removal is approved, and breaks off; some of them come back."""
        self.add("delete", row=self.dice.randrange(99), many=self.dice.randint(2, 5))
        self.approve(fault_share=0.7)
        if self.dice.random() < 0.6:
            self.add("revert", reads=1)
        if self.dice.random() < 0.6:
            self.add("delete", row=self.dice.randrange(99), many=self.dice.randint(1, 4))
        self.command()

    def besiege(self) -> None:
        """One product, or one item, is refused in each of several runs."""
        self.edit()
        refusal = self.dice.choice([how for how in REFUSALS if how != "error_status"])
        self.add("besiege", refused=[self.dice.choice((*CODES, *PRODUCTS))], refusal=refusal)

    def edit(self) -> None:
        """One change to the source, or to what is read of it."""
        dice = self.dice
        edits = {
            self.insert: 10,
            self.change: 30,
            self.move: 8 if self.setting.entity == "products" else 0,
            self.delete: 10,
            self.flag: 10,
            self.blank: 7,
            self.repeat: 4,
            self.recode: 4,
            self.revert: 8,
            self.hide: 7,
            self.read_mode: 6,
        }
        dice.choices(list(edits), list(edits.values()))[0]()

    def insert(self, *, sound: bool = False) -> None:
        """A new item."""
        dice = self.dice
        odd_share = 0.0 if sound else 0.1
        columns = [column for column in self.columns if sound or dice.random() < 0.5]
        values = {column: self.value(column, odd_share=odd_share) for column in columns}
        flag = "Active" if sound else dice.choices(FLAGS, FLAG_WEIGHTS)[0]
        self.add("insert", code=dice.choice(CODES), product=dice.choice(PRODUCTS), values={**values, "active": flag})

    def value(self, column: str, *, odd_share: float = 0.25) -> str | None:
        """What a column may hold; the tiers alone where the default price has a column of its own."""
        values = VALUES[self.setting.entity][column]
        if column == "prices" and self.setting.pricing == "both":
            values = TIERS_ONLY
        odd = self.dice.random() < odd_share
        return self.dice.choice([value for value in values if (value in ODD) is odd] or values)

    def change(self) -> None:
        """Another value in a column of one row, or of all rows of a product."""
        column = self.dice.choice(self.columns)
        many = self.dice.choice((1, 1, 1, 1, 2, 9))
        self.add("change", row=self.row(), column=column, value=self.value(column), many=many)

    def row(self) -> int:
        """One of the rows."""
        return self.dice.randrange(99)

    def move(self) -> None:
        """A variant goes to another product."""
        self.add("change", row=self.row(), column="product", value=self.dice.choice(PRODUCTS), many=1)

    def delete(self) -> None:
        """Rows go."""
        self.add("delete", row=self.row(), many=self.dice.choice((1, 1, 1, 2, 3)))

    def flag(self) -> None:
        """Another flag."""
        value = self.dice.choices(FLAGS, FLAG_WEIGHTS)[0]
        self.add("change", row=self.row(), column="active", value=value, many=self.dice.choice((1, 1, 2)))

    def blank(self) -> None:
        """A code, or what else is required, turns blank; with it the flag may come to say Ignore."""
        required = ("code", "code", "code", "product", "title", "sku")
        column = self.dice.choice(required if self.setting.entity == "products" else ("code", "code", "email"))
        row = self.row()
        self.add("change", row=row, column=column, value=self.dice.choice((None, "", "  ")), many=1)
        if self.dice.random() < 0.3:
            self.add("change", row=row, column="active", value=self.dice.choice(("Ignore", "false", None)), many=1)

    def repeat(self) -> None:
        """A row appears twice."""
        self.add("repeat", row=self.row())

    def recode(self) -> None:
        """A row gets another code, which may be another row's."""
        self.add("change", row=self.row(), column="code", value=self.dice.choice(CODES), many=1)

    def revert(self) -> None:
        """The source goes back to what an earlier read saw, in one row or in all of them."""
        self.add("revert", reads=self.dice.randint(1, 3), row=self.dice.choice((None, self.row())))

    def hide(self) -> None:
        """A read does not see some rows; or sees all of them again."""
        self.add("hide", rows=[self.row() for _ in range(self.dice.choice((0, 0, 1, 1, 2, 4)))])

    def read_mode(self) -> None:
        """The next read is empty, or breaks off."""
        self.mode = self.dice.choice(("empty", "broken"))
        self.add("mode", mode=self.mode)

    def command(self) -> None:
        """Something that is done with the project."""
        commands = {
            self.run: 52,
            self.approve: 14,
            self.plan: 8,
            self.adopt: 6,
            self.verify: 6,
            self.retry: 5,
            self.token: 4,
            self.account: 4,
            self.console: 4,
            self.lose_state: 2,
            self.map: 6,
        }
        if self.setting.machines:
            commands |= {self.look: 6, self.wait: 6, self.wake: 5, self.clear_cache: 4, self.move_project: 3}
        self.dice.choices(list(commands), list(commands.values()))[0]()

    def run(self, fault_share: float = 0.45) -> None:
        """A run, as the schedule has it or by hand."""
        options = self.dice.choices(((), ("--full",), ("--deadline", "0.02"), ("--deadline", "1")), (75, 15, 5, 5))[0]
        self.add("run", options=list(options), faults=self.faults(fault_share), fresh=self.dice.random() < 0.03)

    def approve(self, fault_share: float = 0.4) -> None:
        """Look at a plan, and approve it."""
        how = self.dice.choice(("expect", "expect", "deletes", "both"))
        self.add("approve", how=how, faults=self.faults(fault_share))

    def plan(self) -> None:
        """A plan; nothing may come of it."""
        self.add("plan", faults=self.faults(0.15))

    def adopt(self) -> None:
        """Take what Stock2Shop holds as published."""
        self.add("adopt", faults=self.faults(0.15))

    def verify(self) -> None:
        """Compare with what Stock2Shop holds, and repair."""
        self.add("verify", repair=self.dice.random() < 0.6, faults=self.faults(0.1))

    def retry(self) -> None:
        """Let refused rows go again."""
        self.add("retry")
        self.run()

    def token(self) -> None:
        """Stock2Shop wants everything again."""
        self.add("token")
        self.run()

    def account(self) -> None:
        """The project points at another account."""
        self.add("account", to=self.dice.choice(("a/57", "a/58", "b/57")))
        self.run(fault_share=0.1)
        if self.dice.random() < 0.7:
            self.dice.choice((lambda: self.add("rebind"), self.adopt, lambda: self.add("account", to="a/57")))()

    def console(self) -> None:
        """Somebody changes Stock2Shop by hand."""
        self.add("console", item=self.row(), how=self.dice.choice(("remove", "qty", "title")))

    def map(self) -> None:
        """The mapping loses some fields, or has all of them again."""
        columns = LEAVING[self.setting.entity]
        self.add("map", without=self.dice.sample(columns, self.dice.choice((0, 1, 1, 2))))
        self.dice.choice((self.run, self.run, self.adopt, self.verify))()

    def lose_state(self) -> None:
        """The state file is lost, and what Stock2Shop holds is adopted."""
        self.add("lose_state")

    def look(self) -> None:
        """Somebody looks at the project from any machine."""
        how = self.dice.choice(("explain", "status", "history", "quarantine"))
        self.add("look", how=how, code=self.dice.choice(CODES))

    def wait(self) -> None:
        """Nothing happens for minutes."""
        self.add("wait")
        self.run()

    def wake(self) -> None:
        """What was frozen goes on."""
        self.add("wake")
        self.run()

    def clear_cache(self) -> None:
        """A machine loses what it has."""
        self.add("clear_cache")
        self.run()

    def move_project(self) -> None:
        """One machine takes the project for itself, or the fleet has it again."""
        self.add("move_project")
        self.run()

    def faults(self, share: float) -> dict[str, Any]:
        """What goes wrong while a command runs; nothing, mostly."""
        dice = self.dice
        if dice.random() >= share:
            return {}
        kinds = {"at": 50, "ever": 16, "refused": 22, "killed": 8, "asking": 4}
        if self.setting.machines:
            kinds["network"] = 10
        kind = dice.choices(list(kinds), list(kinds.values()))[0]
        if kind == "network":
            return {"network": [dice.choice(("away", "blink", "blink")), round(dice.uniform(0.01, 0.6), 3)]}
        if kind == "at":
            lost, every = sorted(LOST_FOR_ONE), FAULTS
            if self.setting.machines:  # where what is slow would take minutes
                lost.remove("slow")
                every = tuple(each for each in FAULTS if each != "slow")
            if self.setting.machines and dice.random() < 0.6:
                lost, every = [*sorted(LOST_FOR_FLEET), "kill_late"], FLEET_FAULTS
            names = [dice.choice(lost if dice.random() < 0.7 else every) for _ in range(dice.choice((1, 1, 2)))]
            return {"at": {str(dice.choice((1, 1, 1, 2, 2, 3, 4))): name for name in names}}
        if kind == "ever":
            return {"ever": [dice.choice((1, 1, 2, 3)), dice.choice(("cut_before", "cut_after", "503_after", "429"))]}
        if kind == "refused":
            codes = sorted(set(dice.choices((*CODES, *PRODUCTS), k=dice.choice((1, 1, 2, 3)))))
            return {"refused": codes, "refusal": dice.choice(REFUSALS)}
        if kind == "killed":
            return {"kill_after": round(dice.uniform(0.01, 0.6), 3)}
        return {"asking": dice.choice(("cut_before", "503", "503" if self.setting.machines else "slow"))}
