"""What must hold of every command, whatever went wrong before it and while it ran."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from model import oracle
from model.oracle import differences, understood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.commands import Result
    from model.oracle import Catalogue, Expected
    from model.sources import Row
    from model.stock2shop import Faults, Sent
    from model.world import World


class ViolationError(AssertionError):
    """Something that must hold did not. ``kind`` names the invariant."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Referee:
    """Knows what Stock2Shop was told and by whom, and looks at every command's doings."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.drifted: set[str] = set()
        """Keys that somebody changed at Stock2Shop by hand, until a repair or an adoption."""
        self.refused: dict[tuple[str, str], Expected | None] = {}
        """What was refused, by key and product, until something is taken for these; of a removal, what the source said
        of the key then; None for nothing."""
        self.approved: set[str] = set()
        """Keys whose removal was approved in a run that did not come to it, as long as they are away."""
        self.met: set[str] = set()
        """The accounts that runs of this state had to do with; the state may belong to each of them."""
        self.acknowledged_at: str | None = None
        """The account that took something, or was adopted, since the state was new."""
        self.acknowledged: dict[tuple[str, str], tuple[dict[str, Any], list[Row]]] = {}
        """What was last taken of a product's item, by the codes of both, where its sender has recorded so for good; and
        the rows of the source that have its code."""
        self._unanswered: set[tuple[str, str]] = set()
        self._removed_as: dict[tuple[str, str], str | None] = {}
        """What was taken to be removed, and what the source said of it then."""
        self._once_more: set[str] = set()
        """Products of which something was unanswered when a machine of a fleet vanished, or shortly after."""
        self._has_vanished = False
        self.late: set[str] = set()
        """Keys of which Stock2Shop may hold what a machine had sent that vanished, because it was taken late."""
        self._is_late_over = False
        self._logins_when_frozen = 0
        self.blanked: dict[int, str] = {}
        """Rows whose code is blank now, with the code that a read last saw."""
        self._codes: dict[int, str] = {}
        self._known: set[str] = set()
        self._removals = 0
        self._faults: Any = None
        self._killed = False
        self._held_before: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self._unanswered_values: dict[str, list[Expected]] = {}
        """What Stock2Shop may hold of keys: what it held before their removal, or was sent, without an answer."""
        self._priced_by_hand: set[str] = set()
        """Keys that were adopted from lists of prices of which none had a default price: theirs are somebody's own."""

    def state_lost(self) -> None:
        """The state file is gone: nothing is bound to an account any more."""
        self.met.clear()
        self.acknowledged_at = None
        self.approved.clear()
        self.late.clear()
        self.acknowledged.clear()
        self._unanswered_values.clear()
        self._priced_by_hand.clear()

    @property
    def elsewhere(self) -> bool:
        """Whether the state may belong to another account than the project's."""
        return bool(self.met - {self.world.account})

    def begin(self, faults: Faults, *, killed: bool) -> None:
        """Look at the world before a command."""
        self._faults, self._killed = faults, killed
        self._held_before = self.world.held()
        world = self.world
        rows = {
            number: row for number, row in world.rows.items() if number not in world.hidden and world.mode != "empty"
        }
        if world.mode == "whole":
            shown = {number: str(row["code"]).strip() for number, row in rows.items() if not oracle.blank(row["code"])}
            self._codes |= shown
            # A code that another row shows is that row's from then on.
            self._codes = {
                number: code for number, code in self._codes.items() if number in shown or code not in shown.values()
            }
        self.blanked = {
            number: self._codes[number]
            for number, row in rows.items()
            if oracle.blank(row["code"]) and number in self._codes
        }

    def look(self, command: str, options: Sequence[str], result: Result, planned: dict[str, Any] | None) -> None:
        """Hold what a command did against what it may do. Raises :class:`ViolationError`."""
        world = self.world
        catalogue = world.judged()
        self._look_at_words(result)
        if world.shop.undocumented:
            raise ViolationError("undocumented request", world.shop.undocumented[0])
        if command != "run" and world.shop.sent:
            raise ViolationError("sent by a look", f"{command} sent {len(world.shop.sent)} items")
        self._look_at_account(command, result)
        self._look_at_items(catalogue, options)
        self._look_at_limits(catalogue, options)
        self._look_at_repeats(result, catalogue)
        self._look_at_code(command, options, result, catalogue, planned)
        if command in {"run", "plan"} and "--output" not in options and result.code in {0, 4}:
            self._look_at_accounts_of_rows(result, catalogue)
        self._remember(command, options, result, catalogue)
        if result.is_frozen:
            self._logins_when_frozen = world.shop.logins
        if command == "run" and result.code in {0, 4} and "--deadline" not in options:
            self.in_step(catalogue)

    # --- what docs/fleet.md promises besides, where several machines run the project ---

    def look_at_held(self, result: Result) -> None:
        """Nobody runs a project that another machine may still be at work on: "exit code 75 where another has it"."""
        self._look_at_words(result)
        if result.code != 75 or self.world.shop.sent:
            raise ViolationError("lease", f"{result.argv} ended with {result.code} although the lease is held")

    def look_at_woken(self, result: Result) -> None:
        """A machine that was frozen, and wakes up after another took over, changes nothing.

        "Its next request, batch or receipt is refused, and it ends with exit code 75, or with 1 where it learns that a
        request had failed. A batch that it was just about to send is refused by Stock2Shop, whose token changed": so it
        may be taken as long as nobody has logged in since.
        """
        self._look_at_words(result)
        if result.code not in {75, 1}:
            raise ViolationError("lease", f"what was frozen ended with {result.code}: {result.err[:300]}")
        shop = self.world.shop
        if len({one.batch for one in shop.sent}) > (shop.logins == self._logins_when_frozen):
            raise ViolationError("lease", f"what was frozen sent {len(shop.sent)} items after another took over")

    def arrived_late(self, codes: set[tuple[str, str]]) -> None:
        """What a machine had sent that vanished was taken after what was sent since: ``codes`` of products and items.

        "The keys that it got no answer to are sent at once, and once more by the first run that begins ``read_timeout``
        after it was last heard of." Until then Stock2Shop may hold the older values of them, and of their products.
        """
        products = {product for product, _ in codes}
        self.late |= {code for _, code in codes}
        self.late |= {key for key, places in self.world.held().items() if products & {product for product, _ in places}}
        self._is_late_over = False

    def time_passed(self) -> None:
        """The next run that comes to its end begins so much later."""
        self._is_late_over = True

    def look_at_a_look(self, result: Result) -> None:
        """A command that only looks says something, on any machine."""
        self._look_at_words(result)
        if self.world.shop.sent:
            raise ViolationError("sent by a look", f"{result.argv} sent {len(self.world.shop.sent)} items")
        if result.code == 75:
            raise ViolationError("lease", f"{result.argv} ended with 75 although nobody has the lease")

    # --- each thing that must hold ---

    @staticmethod
    def _look_at_words(result: Result) -> None:
        for words in ("Traceback", "fault of s2s", "unforeseen"):
            if words in result.out + result.err:
                raise ViolationError("crash", f"{' '.join(result.argv[2:])} says {words!r}")

    def _look_at_account(self, command: str, result: Result) -> None:
        world = self.world
        other = [one for one in world.shop.sent if one.account != world.account or one.entity != world.entity]
        if other:
            raise ViolationError("another account", f"{other[0].code} went to {other[0].account}")
        if self.acknowledged_at in {None, world.account} or command in {"quarantine", "rebind"}:
            return
        if world.shop.sent or result.code in {0, 4}:
            raise ViolationError(
                "another account",
                f"the state is of {self.acknowledged_at}; {command} with {world.account} ended with {result.code}"
                f" and sent {len(world.shop.sent)} items",
            )

    def _look_at_items(self, catalogue: Catalogue, options: Sequence[str]) -> None:
        world = self.world
        if not world.shop.sent:
            return
        if world.mode == "broken" and catalogue.rows:
            raise ViolationError("unread rows", "something was sent although the read broke off")
        if not catalogue.rows and "--expect" not in options:
            raise ViolationError("empty read", "something was sent although the read was empty")
        for one in world.shop.sent:
            fate = catalogue.fates.get(one.code)
            if one.removes:
                self._look_at_removal(one, fate, catalogue)
            elif fate not in {"active", "unclear"}:
                raise ViolationError(
                    "sent although not to be sent", f"{one.code}, which is {fate or 'not in the source'}"
                )
            else:
                self._look_at_document(one, catalogue)

    def _look_at_removal(self, one: Sent, fate: str | None, catalogue: Catalogue) -> None:
        world = self.world
        if fate in {"ignore", "quarantined"}:
            raise ViolationError("removed although shown", f"{one.code}, which the source shows and is {fate}")
        if fate == "active":
            expected = catalogue.expected[one.code]
            if one.product != expected.product:
                return
            types = [document.get("option1") is None for _, document in self._held_before.get(one.code, [])]
            if any(simple != (expected.own.get("option1") is None) for simple in types) or not types:
                return  # its type changed: it is removed, and created again
            raise ViolationError("removed although shown", f"{one.product}/{one.code}, which the source shows as sound")
        if fate is None:
            if world.setting.missing == "keep":
                raise ViolationError("removed although kept", one.code)
            if one.code in self.blanked.values():
                raise ViolationError("removed although its code was blanked", one.code)

    def _look_at_document(self, one: Sent, catalogue: Catalogue) -> None:
        expected = catalogue.expected[one.code]
        found = differences(expected, self._told(one), shared=self._clear(expected.product, catalogue))
        if found:
            raise ViolationError("wrong document", f"{one.product}/{one.code}: {'; '.join(found)}")

    def _told(self, one: Sent) -> Expected:
        """What an item says."""
        if self.world.entity == "customers":
            return understood("customers", one.product, one.item["customer"])
        item = one.item["product"]
        return understood("products", one.product, {**item, **item["variants"]})

    def _clear(self, product: str, catalogue: Catalogue) -> bool:
        """Whether it is clear what the product's fields are: no row of it is unclear, refused or held back."""
        doubtful = self._doubtful(catalogue) | self._unsaid(catalogue)
        return product not in catalogue.vague_products and not any(
            expected.product == product and key in doubtful for key, expected in catalogue.expected.items()
        )

    def _doubtful(self, catalogue: Catalogue) -> set[str]:
        """Keys of which Stock2Shop may hold anything: changed by hand, or refused as the source has them now."""
        found = self.drifted | self.late
        for (key, _), refused in self.refused.items():
            now = self._said(key, catalogue)
            if (refused is now) if refused is None or now is None else not differences(now, refused, shared=False):
                found.add(key)
        return found

    @staticmethod
    def _said(key: str, catalogue: Catalogue) -> Expected | None:
        """What Stock2Shop has to hold for a key; None for nothing."""
        return catalogue.expected.get(key) if catalogue.fates.get(key) in {"active", "unclear"} else None

    def _unsaid(self, catalogue: Catalogue) -> set[str]:
        """Keys of which the source says no price where Stock2Shop may have one: held, or sent in a way that clears."""
        found = set()
        for key, expected in catalogue.expected.items():
            documents = [*self._held_before.get(key, []), *self.world.held().get(key, [])]
            held = [understood(self.world.entity, product, document) for product, document in documents]
            for one in [*held, *self._unanswered_values.get(key, [])]:
                found |= {key for name in expected.unsaid if one.own[name] is not None}
        return found

    def _look_at_limits(self, catalogue: Catalogue, options: Sequence[str]) -> None:
        world = self.world
        removed = {key for account, _, key in world.shop.removed if catalogue.fates.get(key) != "active"}
        limit = world.setting.max_deletes
        if "--expect" in options:
            return
        if "--approve-deletes" in options:
            limit = max(limit, int(options[options.index("--approve-deletes") + 1]))
        if len(removed - self.approved) > limit:
            raise ViolationError("limit", f"{len(removed)} were removed, {limit} may be: {sorted(removed)}")

    def _look_at_repeats(self, result: Result, catalogue: Catalogue) -> None:
        """What was acknowledged is not sent again as it is while its row is as it was.

        But for the last batch of a command that died.
        """
        shop, fleet = self.world.shop, self.world.fleet
        vanished = result.code < 0 or (fleet is not None and fleet.vanished)
        last = max((one.batch for one in shop.sent), default=0) if vanished else 0
        for place, fate in list(self._removed_as.items()):
            if catalogue.fates.get(place[1]) != fate:  # what was settled of the row before is settled no more
                del self._removed_as[place]
                self.acknowledged.pop(place, None)
        for one in shop.sent:
            place = (one.product, one.code)
            rows = [dict(row) for row in self.world.visible if (row["code"] or "").strip() == one.code]
            if self.acknowledged.get(place) == (one.item, rows) and one.product not in self._once_more:
                raise ViolationError("sent again", f"{one.product}/{one.code}, as it was acknowledged before")
            if one.taken and one.answered and one.batch != last:
                self.forget_items(code=one.code)
                self._forget_variants(one)
                self.acknowledged[place] = (one.item, rows)
                if one.removes:
                    self._removed_as[place] = catalogue.fates.get(one.code)
                self._unanswered.discard(place)
            else:
                self.forget_items(product=one.product, code=one.code)
                self._unanswered.add(place)
        if vanished and fleet is not None:
            self._has_vanished, self._is_late_over = True, False
        if self._has_vanished:
            self._once_more |= {product for product, _ in self._unanswered}

    def _forget_variants(self, sent: Sent) -> None:
        """The other variants may be sent again after one was sent with other product fields: those changed for all."""
        fields = _product_fields(sent.item)
        self.acknowledged = {
            place: (item, rows)
            for place, (item, rows) in self.acknowledged.items()
            if place[0] != sent.product or _product_fields(item) == fields
        }

    def forget_items(self, *, product: str = "", code: str = "") -> None:
        """What was acknowledged of a product and of a code may be sent again as it was."""
        self.acknowledged = {
            place: item for place, item in self.acknowledged.items() if place[0] != product and place[1] != code
        }

    def _look_at_code(
        self,
        command: str,
        options: Sequence[str],
        result: Result,
        catalogue: Catalogue,
        planned: dict[str, Any] | None,
    ) -> None:
        world = self.world
        if result.code in {75, 2}:
            raise ViolationError("exit code", f"{command} ended with {result.code}: {result.err[:300]}")
        if self._killed or self._faults.any or self.elsewhere:
            return
        if world.mode == "broken" and catalogue.rows and command in {"run", "plan"}:
            if result.code != 1:
                raise ViolationError("unread rows", f"{command} ended with {result.code} although the read broke off")
            return
        if world.mode == "broken":
            return  # adopt and verify read the columns alone
        allowed = {"run": {0, 3, 4}, "plan": {0, 3}, "verify": {0, 4}}.get(command, {0})
        if "--deadline" in options:
            allowed = allowed | {1}
        if result.code not in allowed:
            raise ViolationError("exit code", f"{command} ended with {result.code} although nothing went wrong")
        if result.code == 3:
            self._look_at_stop(command, options, catalogue, planned)
        unseen = not catalogue.rows and self._held_before and command == "run"
        if unseen and "--expect" not in options and result.code not in ({1, 3} if "--deadline" in options else {3}):
            raise ViolationError("empty read", f"run ended with {result.code} although the read was empty")

    def _look_at_stop(
        self, command: str, options: Sequence[str], catalogue: Catalogue, planned: dict[str, Any] | None
    ) -> None:
        """A guard stopped the command: it must have had a cause, which nobody had approved."""
        setting = self.world.setting
        if planned is not None and ("--expect" in options or ("--approve-changes" in options and catalogue.rows)):
            raise ViolationError("approval", "a plan that was approved at once was stopped")
        if not catalogue.rows or setting.max_changes < len(catalogue.expected):
            return
        away = {key for key in self._known if catalogue.fates.get(key) in {None, "delete", "unclear"}}
        if self._removals + len(away) <= setting.max_deletes:
            raise ViolationError(
                "stopped without a cause",
                f"{command}: at most {len(away)} keys are to be removed, {self._removals} were, of"
                f" {setting.max_deletes} that may be",
            )

    def _look_at_accounts_of_rows(self, result: Result, catalogue: Catalogue) -> None:
        for words in ("source rows", "keys gone"):
            for total, parts in re.findall(rf"{words} +([\d,]+) = (.*)", result.out):
                said = sum(_number(part) for part in re.findall(r"([\d,]+) [a-z]", parts))
                if _number(total) != said:
                    raise ViolationError("accounting", f"{words} {total} = {parts}")
                if words == "source rows" and _number(total) != catalogue.rows:
                    raise ViolationError("accounting", f"{total} rows, where the view shows {catalogue.rows}")

    def _remember(self, command: str, options: Sequence[str], result: Result, catalogue: Catalogue) -> None:
        world = self.world
        self._known |= {one.code for one in world.shop.sent} | set(world.held())
        self._removals += sum(one.removes for one in world.shop.sent)
        self._remember_unanswered_values()
        for one in world.shop.sent:
            if one.taken and one.answered:
                self.refused.pop((one.code, one.product), None)
            elif self._faults.refused:
                told = self._said(one.code, catalogue) if one.removes else self._told(one)
                self.refused[one.code, one.product] = told
        self.approved -= {key for key, fate in catalogue.fates.items() if fate == "active"}
        if "--expect" in options or "--approve-deletes" in options:
            away = {key for key in self._held_before if catalogue.fates.get(key) in {None, "delete"}}
            self.approved |= away if result.code != 3 else set()
        if command == "rebind" and result.code == 0:
            self.state_lost()
        if command in {"run", "adopt"}:
            self.met.add(world.account)
        if any(one.taken for one in world.shop.sent) or (command == "adopt" and result.code == 0):
            self.acknowledged_at = world.account
        if command in {"run", "adopt"} and result.code in {0, 4} and not world.held():
            self.acknowledged_at = None  # what holds nothing is nobody's
        if command == "run" and result.code in {0, 4} and self._is_late_over:
            self.late.clear()
            self._once_more.clear()
            self._has_vanished = False
        if (command == "adopt" or "--repair" in options) and result.code != 3:
            self.acknowledged.clear()
        self._priced_by_hand -= {
            one.code for one in world.shop.sent if not one.removes and self._told(one).own.get("price")
        }
        if command == "adopt" and result.code == 0:
            listed = world.setting.pricing == "csv" and all(
                each.own.get("price") is None for each in catalogue.expected.values()
            )
            self._priced_by_hand = set(world.held()) if listed else set()
        if (command == "adopt" and result.code == 0) or ("--repair" in options and result.code in {0, 4}):
            self.drifted.clear()

    def _remember_unanswered_values(self) -> None:
        world = self.world
        for one in world.shop.sent:
            if one.taken and one.answered:
                self._unanswered_values.pop(one.code, None)
            elif one.removes:
                before = self._held_before.get(one.code, [])
                self._unanswered_values.setdefault(one.code, []).extend(
                    understood(world.entity, product, document) for product, document in before
                )
            elif not (self._faults.refused and self._faults.refusal.startswith("4")):
                self._unanswered_values.setdefault(one.code, []).append(self._told(one))

    def in_step(self, catalogue: Catalogue, *, strict: bool = False) -> None:
        """Stock2Shop holds what the oracle says; not asked of keys in doubt, but where ``strict``."""
        world = self.world
        held = world.held()
        doubtful = set() if strict else self._doubtful(catalogue)
        unsaid = self._unsaid(catalogue)
        quarantined = self._quarantined() if unsaid else set()
        for key, expected in catalogue.expected.items():
            if catalogue.fates[key] != "active" or key in doubtful:
                continue
            if key in unsaid:
                still = [understood(world.entity, product, document).own for product, document in held.get(key, [])]
                # What Stock2Shop gives for a price that was never said is not public, so 0 may be that.
                own_price = {"price"} if key in self._priced_by_hand else set()
                kept = [name for own in still for name in expected.unsaid - own_price if own[name]]
                if kept and key not in quarantined:
                    raise ViolationError("believed", f"{key} turned blank in {kept}, which Stock2Shop still holds")
                if not still and key not in quarantined:
                    raise ViolationError("believed", f"{key} belongs in {expected.product}, and is nowhere")
                continue
            places = held.get(key, [])
            if len(places) != 1:
                where = [product for product, _ in places] or "nowhere"
                raise ViolationError("believed", f"{key} belongs in {expected.product}, and is in {where}")
            ((product, document),) = places
            clear = strict or self._clear(expected.product, catalogue)
            found = differences(expected, understood(world.entity, product, document), shared=clear)
            if found:
                raise ViolationError("believed", f"{product}/{key}: {'; '.join(found)}")
        for key, places in held.items():
            fate = catalogue.fates.get(key)
            gone = fate is None and world.setting.missing == "delete" and not catalogue.blank_rows
            if key not in doubtful and (gone or fate == "delete"):
                where = [product for product, _ in places]
                raise ViolationError("believed", f"{key} is still in {where}, and is {fate or 'gone from the source'}")

    def _quarantined(self) -> set[str]:
        """The keys that the engine says it holds back."""
        world = self.world
        listed = world.place.run(["quarantine", "list", "acme", "--output", "json"])
        return {str(entry["key"]) for entry in json.loads(listed.out)["result"] or ()}


def _number(words: str) -> int:
    return int(words.replace(",", ""))


def _product_fields(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.get("product", {}).items() if name != "variants"}
