"""The sandbox does what its document says, and can be as unkind as a network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from support.stock2shop import document

from engine.errors import UsageError
from engine.sandbox.server import Sandbox
from engine.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.rubbish

NO_PROXY = {"http": "", "https": ""}


class Caller:
    """Somebody with the sandbox's user."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.token = ""

    def login(self, password: str = "sandbox") -> requests.Response:
        """Authenticate; keeps the token."""
        user = {"username": "sandbox", "password": password}
        answer = requests.post(
            f"{self.sandbox.url}/users/authenticate?format=json", json={"system_user_auth": user}, timeout=10
        )
        if answer.ok:
            self.token = answer.json()["system_user"]["token"]
        return answer

    def get(self, path: str, **query: str) -> requests.Response:
        """Call with the token."""
        return requests.get(f"{self.sandbox.url}{path}", params={"token": self.token, **query}, timeout=10)

    def post(self, path: str, body: object, **query: str) -> requests.Response:
        """Call with the token and a JSON body."""
        query = {"token": self.token, "source_id": "57", **query}
        return requests.post(f"{self.sandbox.url}{path}", params=query, json=body, timeout=10)

    def control(self, path: str, body: object = ...) -> requests.Response:
        """Call what only the sandbox has; a POST where there is a body."""
        address = self.sandbox.url.replace("/v1", "/_sandbox") + path
        if body is ...:
            return requests.get(address, timeout=10)
        return requests.post(address, json=body, timeout=10)

    def queue(self, *items: dict[str, Any]) -> requests.Response:
        """Queue products."""
        return self.post("/products/queue", {"system_products": items})

    def search(self, **query: object) -> dict[str, Any]:
        """Read products back."""
        found: dict[str, Any] = self.post("/products/elastic_search", query).json()
        return found


@pytest.fixture
def caller(sandbox: Sandbox) -> Caller:
    """A caller that is logged in."""
    made = Caller(sandbox)
    made.login()
    return made


def item(code: str, product: str | None = None, active: str = "true", **variant: object) -> dict[str, Any]:
    """A sound item."""
    return {
        "source": {
            "source_id": 57,
            "product_active": active,
            "source_product_code": product or code,
            "sync_token": "0",
            "fetch_token": "0",
        },
        "product": {"title": f"Item {code}", "variants": {"source_variant_code": code, "sku": code, **variant}},
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """A sound item with one thing in it replaced; a value of ... takes it out."""
    made = item("A")
    *parents, last = path.split(".")
    place = made
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return made


def test_a_new_token_makes_the_old_one_stale(caller: Caller) -> None:
    """As Stock2Shop's public pages say."""
    old = caller.token
    assert caller.get("/sources").status_code == 200
    caller.login()
    assert caller.get("/sources").status_code == 200
    caller.token = old
    assert caller.get("/sources").status_code == 401
    assert caller.get(f"/users/valid_token/{old}").status_code == 401


def test_a_wrong_password_gives_no_token(caller: Caller) -> None:
    """And does not make the good one stale."""
    assert caller.login(password="wrong").status_code == 401
    assert caller.get("/sources").status_code == 200


def test_a_token_may_expire_at_any_time(caller: Caller) -> None:
    """On request."""
    caller.sandbox.expire_tokens()
    assert caller.queue(item("A")).status_code == 401
    caller.login()
    assert caller.queue(item("A")).status_code == 200


def test_a_source_has_its_sync_token(caller: Caller) -> None:
    """It can be changed, as when somebody asks for a full resend in the console."""
    assert caller.get("/sources").json()["system_sources"][0]["sync_token"] == "0"
    caller.sandbox.set_sync_token(57, "7")
    assert [(s["id"], s["sync_token"]) for s in caller.get("/sources").json()["system_sources"]] == [(57, "7")]


def linked_item(code: str, active: str = "true", **fields: object) -> dict[str, Any]:
    """An item of the linked source 58 that has ``fields`` of the product."""
    made = item(code, active=active)
    made["source"]["source_id"] = 58
    made["product"] |= fields
    return made


def test_a_linked_source_changes_what_its_primary_source_has(caller: Caller) -> None:
    """What it does not give stays as the primary source gave it."""
    assert caller.control("/sources", {"id": 58}).json()["id"] == 58
    assert [one["id"] for one in caller.get("/sources").json()["system_sources"]] == [57, 58]
    caller.queue(item("A", qty=3, price=9.5))
    caller.post("/products/queue", {"system_products": [linked_item("A", vendor="Acme")]}, source_id="58")
    held = caller.sandbox.products(57)["A"]
    assert (held["vendor"], held["qty"], held["price"], held["source_id"]) == ("Acme", 3, 9.5, 57)


def test_a_linked_source_adds_and_removes_no_variant(caller: Caller) -> None:
    """An item without its counterpart is queued, and then ignored; so is a product's code in a variant's place."""
    caller.control("/sources", {"id": 58})
    caller.queue(item("A-1", "A"))
    items = [linked_item("A"), linked_item("B"), linked_item("A-1", active="false")]
    answer = caller.post("/products/queue", {"system_products": items}, source_id="58")
    assert answer.json() == {"system_products": {"sync_product": 3}}
    assert (sorted(caller.sandbox.products(57)), caller.sandbox.products(58)) == (["A-1"], {})


def test_a_linked_source_reads_back_what_it_gave(caller: Caller) -> None:
    """By its own id, so that it can be compared with its own view."""
    caller.control("/sources", {"id": 58})
    caller.queue(item("A"), item("B"))
    caller.post("/products/queue", {"system_products": [linked_item("A", vendor="Acme")]}, source_id="58")
    (found,) = caller.search(query={"term": {"source_id": 58}}, size=9)["system_products"]
    assert (found["source_product_code"], found["vendor"]) == ("A", "Acme")


@pytest.mark.parametrize(("body", "words"), [({"id": 57}, "already"), ({"id": "x"}, "number"), ({}, "number")])
def test_a_linked_source_needs_a_number_of_its_own(caller: Caller, body: dict[str, Any], words: str) -> None:
    """It is said what is wrong."""
    answer = caller.control("/sources", body)
    assert (answer.status_code, words in answer.text) == (400, True)


def test_a_linked_source_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Like everything else that is held."""
    settings = SandboxSettings(path=tmp_path / "kept.json")
    Sandbox(settings).store.link_source(58)
    again = Sandbox(settings)
    again.store.queue_product(58, linked_item("A"))
    assert (sorted(again.store.sources), again.products(58)) == ([57, 58], {})


def test_what_is_queued_is_read_back(caller: Caller) -> None:
    """Variants of a product together, each with its own fields."""
    assert caller.queue(item("A-1", "A", qty=3), item("A-2", "A", price=9.5), item("B")).json() == {
        "system_products": {"sync_product": 3}
    }
    found = caller.search(size=10, query={"term": {"source_id": 57}})
    shown = {
        product["source_product_code"]: [variant["source_variant_code"] for variant in product["variants"]]
        for product in found["system_products"]
    }
    assert (found["total"], shown) == (2, {"A": ["A-1", "A-2"], "B": ["B"]})


def test_a_field_that_is_left_out_stays(caller: Caller) -> None:
    """So a linked source does not wipe what another source gave."""
    caller.queue(item("A", qty=3, barcode="600"))
    caller.queue(item("A", qty=4))
    assert caller.sandbox.products(57)["A"]["barcode"] == "600"
    assert caller.sandbox.products(57)["A"]["qty"] == 4


def test_removing_the_last_variant_removes_the_product(caller: Caller) -> None:
    """And removing another leaves its siblings; removing what is not there is no fault."""
    caller.queue(item("A-1", "A"), item("A-2", "A"))
    caller.queue(item("A-1", "A", active="false"), item("Z", active="false"))
    assert sorted(caller.sandbox.products(57)) == ["A-2"]
    caller.queue(item("A-2", "A", active="false"))
    assert caller.search(size=1)["total"] == 0


def test_an_id_is_never_given_twice(caller: Caller) -> None:
    """Reading back by id would miss a product otherwise."""
    caller.queue(item("A"), item("B"))
    caller.queue(item("A", active="false"))
    caller.queue(item("C"))
    ids = [product["id"] for product in caller.search(size=10)["system_products"]]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        *((f"source.{name}", ..., f"source.{name}") for name in ("source_id", "product_active", "sync_token")),
        ("source.fetch_token", "", "source.fetch_token"),
        ("source.source_product_code", None, "source.source_product_code"),
        ("source.source_id", 58, "source.source_id"),
        ("source.product_active", "yes", "source.product_active"),
        ("product.title", ..., "product.title"),
        ("product.variants.sku", "", "variants.sku"),
        ("product.variants", [], "product.variants"),
        ("product.variants.qty", -1, "variants.qty"),
        ("product.variants.qty", 1.5, "variants.qty"),
        ("product.variants.price", "9,50", "variants.price"),
        ("product.variants.inventory_management", True, "variants.inventory_management"),
        ("product.variants.price_tiers", [{"tier": "Trade"}], "variants.price_tiers"),
        ("product.variants.qty_availability", [{"description": "Main", "qty": "1"}], "variants.qty_availability"),
        ("product.meta", [{"key": "a"}], "product.meta"),
        ("product.options", "Size", "product.options"),
    ],
)
def test_an_item_that_breaks_a_documented_check_is_refused_whole(
    caller: Caller, path: str, value: object, field: str
) -> None:
    """With its place and the field; nothing of the request is taken."""
    answer = caller.queue(item("B"), changed(path, value))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["index"], error["field"]) == (1, field)
    assert caller.sandbox.products(57) == {}


def test_more_than_500_items_are_too_many(caller: Caller) -> None:
    """As many as Stock2Shop's own agent sends at most."""
    assert caller.queue(*(item(f"A{n}") for n in range(501))).status_code == 413
    assert caller.queue(*(item(f"A{n}") for n in range(500))).status_code == 200


def test_customers_are_queued_and_read_back(caller: Caller) -> None:
    """In the form that the document guesses; an address is needed."""
    source = {"source_id": 57, "customer_active": "true", "source_customer_code": "C1", "sync_token": "0"}
    sound = {"source": source, "customer": {"source_customer_code": "C1", "email": "a@example.com"}}
    assert caller.post("/customers/queue", {"system_customers": [sound]}).status_code == 200
    found = caller.post("/customers/elastic_search", {"size": 5}).json()
    assert [customer["email"] for customer in found["system_customers"]] == ["a@example.com"]
    blank = {"source": source, "customer": {"source_customer_code": "C1", "email": ""}}
    refused = caller.post("/customers/queue", {"system_customers": [blank]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "customer.email")
    gone = {"source": {**source, "customer_active": "false"}, "customer": {"source_customer_code": "C1"}}
    assert caller.post("/customers/queue", {"system_customers": [gone]}).status_code == 200
    assert caller.sandbox.customers(57) == {}


def test_an_order_waits_until_it_is_answered(caller: Caller) -> None:
    """Then the source's code for it is kept."""
    caller.sandbox.place_order({"id": 9, "line_items": []})
    waiting = caller.get("/queue/items", instructions="add_order").json()["system_queue_items"]
    assert [(entry["id"], entry["data"]["id"]) for entry in waiting] == [(9, 9)]
    sources = [{"source_id": 57, "source_order_code": "SO1", "source_customer_code": "C1"}]
    assert caller.post("/orders/sources", {"system_order": {"id": 9, "sources": sources}}).status_code == 200
    assert caller.get("/queue/items", instructions="add_order").json()["system_queue_items"] == []
    assert caller.sandbox.orders()[9]["sources"] == sources
    assert caller.post("/orders/sources", {"system_order": {"id": 10, "sources": sources}}).status_code == 404


def test_the_pace_is_held_with_and_without_retry_after(make_sandbox: Callable[..., Sandbox]) -> None:
    """A few at once are let through, then 429; after a moment it goes on."""
    for told in (True, False):
        hasty = Caller(make_sandbox(pace=5.0, burst=3, retry_after=told))
        hasty.login()
        answers = [hasty.get("/sources") for _ in range(12)]
        slowed = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200
        assert slowed
        assert all(("Retry-After" in answer.headers) is told for answer in slowed)
        time.sleep(0.5)
        assert hasty.get("/sources").status_code == 200


def test_faults_come_as_often_as_they_were_asked_for(caller: Caller) -> None:
    """Errors, pages, broken and half answers, then all is well again."""
    faults = caller.sandbox.faults
    faults.server_errors(2, status=503)
    assert [caller.get("/sources").status_code for _ in range(3)] == [503, 503, 200]
    faults.html_answers(1)
    assert caller.get("/sources").headers["Content-Type"].startswith("text/html")
    faults.malformed_answers(1)
    with pytest.raises(requests.JSONDecodeError):
        caller.get("/sources").json()
    faults.half_answers(1)
    with pytest.raises(requests.exceptions.RequestException):
        caller.get("/sources")
    faults.drop_before(1)
    with pytest.raises(requests.ConnectionError):
        caller.get("/sources")
    assert caller.get("/sources").status_code == 200


def test_a_batch_may_be_taken_and_its_answer_lost(caller: Caller) -> None:
    """The worst that a network does to a sender."""
    caller.sandbox.faults.drop_after(1)
    with pytest.raises(requests.ConnectionError):
        caller.queue(item("A"))
    assert sorted(caller.sandbox.products(57)) == ["A"]


def test_a_sku_is_refused_on_request(caller: Caller) -> None:
    """The whole batch that it is in, as a queue that blocks would."""
    caller.sandbox.faults.refuse_sku("B")
    answer = caller.queue(item("A"), item("B"))
    assert (answer.status_code, answer.json()["error"]["source_variant_code"]) == (400, "B")
    assert caller.queue(item("A")).status_code == 200


def test_faults_can_be_asked_for_over_http(caller: Caller) -> None:
    """For trying a mapping by hand; an unknown one is named."""
    assert caller.control("/faults", {"errors": 1}).json()["errors"] == 1
    assert caller.get("/sources").status_code == 500
    assert caller.control("/faults").json()["errors"] == 0
    unknown = caller.control("/faults", {"earthquake": 1})
    assert unknown.status_code == 400
    assert "refused_skus" in unknown.json()["error"]["message"]


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        {"errors": "x"},
        {"errors": -1},
        {"errors": True},
        {"latency": "slow"},
        {"refused_skus": "A"},
        {"refused_skus": [1]},
        {"error_status": 200},
        {"errors": 1, "earthquake": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_and_changes_nothing(caller: Caller, wanted: object) -> None:
    """Otherwise every later call would fail, and nobody would know of what."""
    before = caller.control("/faults").json()
    assert caller.control("/faults", wanted).status_code == 400
    assert caller.control("/faults").json() == before
    assert caller.get("/sources").status_code == 200


def test_a_person_sees_what_is_held_and_what_can_be_asked(caller: Caller) -> None:
    """From a browser, without a token."""
    caller.queue(item("A-1", "A", qty=3), item("A-2", "A"))
    caller.control("/orders", {"id": 9, "line_items": []})
    shown = caller.control("").json()
    assert shown["held"] == {"products": 1, "variants": 2, "customers": 0, "orders": 1}
    assert "POST /_sandbox/reset" in shown["calls"]
    assert caller.control("/products").json()["A-1"]["qty"] == 3
    assert caller.control("/products?code=A-1").json()["source_product_code"] == "A"
    assert caller.control("/products?code=B").status_code == 404
    assert caller.control("/customers").json() == {}
    assert caller.control("/orders").json()["9"]["status"] == "new"


def test_what_makes_no_sense_to_the_sandbox_itself_is_refused(caller: Caller) -> None:
    """With its reason, and never as a fault of the server."""
    assert caller.control("/orders", {"id": "x"}).status_code == 400
    assert caller.control("/sources/58/sync_token", {"sync_token": "1"}).status_code == 404
    assert caller.control("/sources/57/sync_token", {"sync_token": 1}).status_code == 400
    assert caller.control("/sources/57/sync_token", {"sync_token": "1"}).status_code == 200
    assert caller.get("/sources").json()["system_sources"][0]["sync_token"] == "1"
    base = caller.sandbox.url.replace("/v1", "/_sandbox")
    assert requests.post(f"{base}/faults", data=b"{", timeout=10).status_code == 400


def test_a_search_goes_no_deeper_than_elasticsearch_does(caller: Caller) -> None:
    """It refuses to look beyond 10,000 hits; who wants more asks for ids above the last one."""
    assert caller.post("/products/elastic_search", {"size": 250, "from": 9_750}).status_code == 200
    assert caller.post("/products/elastic_search", {"size": 250, "from": 9_751}).status_code == 400


def test_a_file_keeps_what_was_received_over_a_restart(tmp_path: Path) -> None:
    """Products, orders and the sync token; no id is given anew, and no token of the user's is in it."""
    path = tmp_path / "held.json"
    with Sandbox(SandboxSettings(path=path)) as first:
        caller = Caller(first)
        caller.login()
        caller.queue(item("A"), item("Z"))
        caller.queue(item("Z", active="false"))
        first.place_order({"id": 9})
        first.set_sync_token(57, "4")
    with Sandbox(SandboxSettings(path=path)) as second:
        caller = Caller(second)
        caller.login()
        caller.queue(item("B"))
        found = caller.search(size=10)["system_products"]
        assert caller.get("/sources").json()["system_sources"][0]["sync_token"] == "4"
        assert list(second.orders()) == [9]
    assert [(product["id"], product["source_product_code"]) for product in found] == [(1, "A"), (3, "B")]
    assert caller.token not in path.read_text("utf-8")


def test_what_was_reset_does_not_come_back_with_a_restart(tmp_path: Path) -> None:
    """The file is emptied too."""
    path = tmp_path / "held.json"
    with Sandbox(SandboxSettings(path=path)) as first:
        caller = Caller(first)
        caller.login()
        caller.queue(item("A"))
        assert caller.control("/reset", {}).status_code == 200
    with Sandbox(SandboxSettings(path=path)) as second:
        assert second.products(57) == {}


@pytest.mark.parametrize("text", ["{bad", "[]", "{}", '{"products": 1}', "\x00"])
def test_a_file_of_something_else_is_not_taken_for_a_sandboxs(tmp_path: Path, text: str) -> None:
    """It is left as it is."""
    path = tmp_path / "held.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="is not a sandbox's file"):
        Sandbox(SandboxSettings(path=path))
    assert path.read_text("utf-8") == text


def test_a_file_of_another_source_is_named(tmp_path: Path) -> None:
    """Nothing of it would be seen otherwise."""
    path = tmp_path / "held.json"
    with Sandbox(SandboxSettings(path=path, source_id=12)) as first:
        first.set_sync_token(12, "1")
    with pytest.raises(UsageError, match="a sandbox of the source 12, not of 57"):
        Sandbox(SandboxSettings(path=path))


def test_no_request_that_is_kept_holds_a_token_or_a_password(caller: Caller) -> None:
    """What the sandbox shows of requests is safe to paste into a ticket."""
    caller.get(f"/users/valid_token/{caller.token}")
    shown = requests.get(caller.sandbox.url.replace("/v1", "/_sandbox/requests"), timeout=10).text
    assert caller.token not in shown
    assert "sandbox" not in shown.replace("/_sandbox", "")


schema = schemathesis.openapi.from_dict(document())


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_call_answers_as_the_document_says(case: schemathesis.Case[Any], caller: Caller) -> None:
    """For sound and for unsound requests: status, content type and shape.

    Not every sound request is accepted: the document cannot say that a body's source must be that of its address.
    """
    if "token" in {parameter.name for parameter in case.operation.query} and "token" in case.query:
        caller.login()
        case.query["token"] = caller.token
    accepted: Any = schemathesis.checks.CHECKS.get_one("positive_data_acceptance")
    case.call_and_validate(base_url=caller.sandbox.url, excluded_checks=[accepted])
