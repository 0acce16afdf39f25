"""The pages that people read, in a real browser: nothing leaves them, they fit a phone, and they print."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import faults, overflow
from support.mapping import write_project

from engine.errors import UsageError
from engine.model.plan import Counts
from engine.pages.chart import change_chart
from engine.pages.review import review_page
from engine.pages.site import build_site
from engine.review.compare import Checkouts, review_on_fixtures
from engine.review.git import at_reference
from engine.review.markdown import review_markdown
from engine.review.model import ChangeBand, ColumnImpact, EntityReview, Impact, Review, Sample
from engine.review.text import review_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
PHONE, DESK = 360, 1280


class Opened:
    """A page that is open, with what it asked for and what it complained of."""

    def __init__(self, browser: Browser, file: Path, *, width: int, scheme: str = "light") -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The review page of a branch that changes a price list of an example project, and hostile texts in it."""
    workspace = tmp_path_factory.mktemp("reviewed")
    shutil.copytree(ROOT / "projects", workspace / "projects")
    commit = ("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "First")
    for words in (("init", "-q"), ("add", "."), commit):
        subprocess.run(["git", *words], cwd=workspace, check=True, capture_output=True)
    settings = workspace / "projects" / "karoo_outdoor" / "project.toml"
    text = settings.read_text("utf-8").replace('default_list = "Retail"', 'default_list = "Trade"')
    settings.write_text(text.replace("(an example)", "<img src=x onerror=alert(1)>"), "utf-8")
    styles = workspace / "projects" / "karoo_outdoor" / "fixtures" / "style.csv"
    styles.write_text(styles.read_text("utf-8").replace("Trail tee", "<script>alert(1)</script>"), "utf-8")
    with at_reference(workspace, "HEAD") as earlier:
        found = review_on_fixtures("karoo_outdoor", Checkouts(workspace, earlier, "HEAD"))
    file = workspace / "review.html"
    file.write_text(review_page([found], against="HEAD"), "utf-8")
    return file


def test_a_review_page_asks_nothing_of_a_network_and_complains_of_nothing(browser: Browser, reviewed: Path) -> None:
    """It is one file that may be sent by mail."""
    opened = Opened(browser, reviewed, width=DESK)
    assert opened.requests == [reviewed.as_uri()]
    assert opened.complaints == []
    # The style came through the page's own policy.
    assert opened.page.evaluate("getComputedStyle(document.querySelector('.numbers')).display") == "flex"


@pytest.mark.parametrize("name", ["review", "index", "karoo_outdoor"])
def test_everybody_can_read_a_page(browser: Browser, reviewed: Path, site: Path, name: str) -> None:
    """By axe's rules, in the light and in the dark, at a desk and on a phone; only the drawing and the SQL scroll."""
    page = Opened(browser, reviewed if name == "review" else site / f"{name}.html", width=DESK).page
    assert faults(page, widths=(DESK, 390)) == []


def test_texts_of_the_client_are_shown_and_never_run(browser: Browser, reviewed: Path) -> None:
    """Whatever stands in a title."""
    page = Opened(browser, reviewed, width=DESK).page
    assert page.get_by_text("<script>alert(1)</script>").count() > 0
    assert page.locator("script").count() == 0
    assert page.locator("img").count() == 0


def test_a_review_page_says_first_what_changes_in_plain_words(browser: Browser, reviewed: Path) -> None:
    """What is to be decided, then the numbers, the rows, the fields, the SQL, and at last the mapping as a whole."""
    page = Opened(browser, reviewed, width=PHONE).page
    assert page.title() == "Karoo Outdoor, a database of its own <img src=x onerror=alert(1)>: what changes"
    assert page.locator("h1").inner_text() == page.title()
    assert page.locator("main .lead").first.inner_text() == "On 7 rows of products: 2 change, 3 are newly held back."
    assert page.locator("main h2").all_inner_texts() == [
        "To decide",
        "Products",
        "Customers",
        "Settings, data tests and order statements",
    ]
    assert "3 rows of products are newly held back" in page.locator(".alert").inner_text()
    assert page.locator("h3").all_inner_texts() == [
        "What changes in them",
        "Held back",
        "Which rows are read",
        "Fed by something else than before",
        "The SQL",
        "Where each field comes from",
    ]


def test_what_stays_as_it_was_is_folded_away(browser: Browser, reviewed: Path) -> None:
    """A page is about what changes; a key opens the rest."""
    page = Opened(browser, reviewed, width=DESK).page
    mapping = page.locator("summary", has_text="each field of customers comes from: as before")
    assert page.locator(".mapping b", has_text="address1.city").is_hidden()
    mapping.focus()
    page.keyboard.press("Enter")
    assert page.locator(".mapping b", has_text="address1.city").is_visible()


def test_a_change_far_behind_in_a_long_value_is_seen(browser: Browser, tmp_path: Path) -> None:
    """And a text without blanks does not widen the page."""
    sample = Sample(key="K" * 90, label="A" * 400, before="x " * 400 + "old end", after="x " * 400 + "new end")
    page = _page_of(tmp_path, sample)
    opened = Opened(browser, page, width=PHONE)
    assert overflow(opened.page) == 0
    assert "old end" in opened.page.locator("del").inner_text()
    assert "new end" in opened.page.locator("ins").inner_text()
    assert "old end" in review_text(_of(sample))
    assert "new end" in review_markdown(_of(sample))


def test_blanks_and_writing_directions_of_a_value_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    """Two blanks for one are a change too, and a text from right to left turns nothing else round."""
    sample = Sample(key="K1", label="\u202eevil", before="a b", after="a  b \u0633")
    page = Opened(browser, _page_of(tmp_path, sample), width=DESK).page
    shown = page.locator("ins bdi")
    assert shown.evaluate("each => getComputedStyle(each).whiteSpaceCollapse") == "preserve"
    assert shown.evaluate("each => getComputedStyle(each).unicodeBidi") == "isolate"


def _of(sample: Sample, distribution: tuple[ChangeBand, ...] = ()) -> Review:
    """A review of one change."""
    counts = Counts(**{each.name: 0 for each in fields(Counts)})
    impact = Impact(
        before=counts,
        after=replace(counts, source=1, updates=1),
        columns=(ColumnImpact(column="title", rows=1, blanked=0, samples=(sample,), distribution=distribution),),
        inserted=(),
        removed=(),
        moved=(),
        unsynced=(),
        ignored=0,
        quarantined=0,
        released=0,
        held=(),
        freed=(),
        stops=(),
    )
    entity = EntityReview(entity="products", sql="", fields=(), mapping=(), impact=impact)
    return Review(
        project="acme",
        description="",
        against="main",
        rows="fixtures",
        new=False,
        settings="",
        orders="",
        entities=(entity,),
    )


def _page_of(folder: Path, sample: Sample, distribution: tuple[ChangeBand, ...] = ()) -> Path:
    file = folder / "review.html"
    file.write_text(review_page([_of(sample, distribution)], against="main"), "utf-8")
    return file


def test_a_page_of_many_clients_begins_with_what_changes_for_each(browser: Browser, tmp_path: Path) -> None:
    """Each line leads to its client."""
    first = _of(Sample(key="K1", before="a", after="b"))
    gone = replace(first, project="gone", gone=True, entities=(), settings="--- a/project.toml\n")
    file = tmp_path / "review.html"
    file.write_text(review_page([first, gone], against="main"), "utf-8")
    opened = Opened(browser, file, width=PHONE)
    assert overflow(opened.page) == 0
    lines = opened.page.locator(".overview tbody tr").all_inner_texts()
    assert "products: 1 changes" in lines[0]
    assert "no longer in the workspace" in lines[1]
    opened.page.locator(".overview a", has_text="gone").click()
    assert opened.page.locator("h2.client", has_text="gone").is_visible()
    assert "rename its state files" in opened.page.locator("#gone .alert").inner_text()


def test_a_page_on_which_nothing_changes_says_so(browser: Browser, tmp_path: Path) -> None:
    """And asks for no signature."""
    file = tmp_path / "review.html"
    file.write_text(review_page([], against="main"), "utf-8")
    page = Opened(browser, file, width=PHONE).page
    assert page.locator("h1").inner_text() == "Nothing changes"
    assert page.get_by_text("Approved by").count() == 0


def test_the_drawing_joins_every_column_to_the_field_that_it_feeds(browser: Browser, reviewed: Path) -> None:
    """And marks what changed, in words too."""
    page = Opened(browser, reviewed, width=DESK).page
    drawing = page.locator("svg.lineage").first
    assert drawing.locator("path title", has_text="price_list.name feeds csv_price_tiers").count() == 1
    assert drawing.locator("text", has_text="csv_price_tiers (changed)").count() == 1
    assert drawing.locator("path.changed").count() == 2
    ends = drawing.locator("path").evaluate_all("paths => paths.map(path => path.getBBox().width)")
    assert min(ends) > 0


def printed_pages(page: Page) -> int:
    """How many sheets of A4 a page takes."""
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


def test_a_change_of_one_value_is_two_sheets_with_the_signature_on_the_first(browser: Browser, reviewed: Path) -> None:
    """The client signs what stands there."""
    workspace = reviewed.parent
    subprocess.run(["git", "checkout", "-q", "."], cwd=workspace, check=True)
    view = workspace / "projects" / "karoo_outdoor" / "views" / "products.sql"
    view.write_text(view.read_text("utf-8").replace("retail.amount as", "retail.amount * 1.05 as"), "utf-8")
    file = workspace / "one.html"
    with at_reference(workspace, "HEAD") as earlier:
        found = review_on_fixtures("karoo_outdoor", Checkouts(workspace, earlier, "HEAD"))
    file.write_text(review_page([found], against="HEAD"), "utf-8")
    page = Opened(browser, file, width=DESK).page
    assert page.get_by_text("Signature").is_hidden()
    assert printed_pages(page) <= 2
    page.emulate_media(media="print")
    assert page.get_by_text("Signature").bounding_box()["y"] < 300  # type: ignore[index]  # it is visible


def test_a_client_of_the_site_is_six_sheets_at_most(browser: Browser, site: Path) -> None:
    """Of the SQL and the sample data there is the file."""
    assert printed_pages(Opened(browser, site / "karoo_outdoor.html", width=DESK).page) <= 6


def test_items_have_the_names_that_the_client_gave_them(browser: Browser, tmp_path: Path) -> None:
    """The SKU and the title; an internal key is on the page only where there is no SKU."""
    page = Opened(browser, _page_of(tmp_path, Sample(key="id-17", sku="HAM-1", label="Hammer")), width=PHONE).page
    assert page.locator("tbody td").first.inner_text() == "HAM-1 Hammer"
    assert "id-17" not in page.locator("body").inner_text()


def test_a_chart_shows_how_far_prices_change(browser: Browser, tmp_path: Path) -> None:
    """From the first band with rows to the last, in words for whom does not see it; of two rows there is none."""
    bands = (
        ChangeBand(lowest=None, highest=-50, rows=0),
        ChangeBand(lowest=-50, highest=-20, rows=1),
        ChangeBand(lowest=-20, highest=0, rows=0),
        ChangeBand(lowest=0, highest=5, rows=1200),
        ChangeBand(lowest=5, highest=None, rows=0),
    )
    sample = Sample(key="K1", before="1", after="2")
    page = Opened(browser, _page_of(tmp_path, sample, bands), width=PHONE).page
    chart = page.locator("svg.chart")
    assert chart.get_attribute("aria-label") == "title. Rows by change: -50 to -20 %: 1; 0 to +5 %: 1,200."
    assert chart.locator("rect").count() == 3
    assert page.evaluate("document.querySelector('svg.chart').getBoundingClientRect().right") <= PHONE
    assert change_chart(bands[:2]) is None


def test_a_review_page_prints_on_paper(browser: Browser, reviewed: Path) -> None:
    """For the client to sign."""
    page = Opened(browser, reviewed, width=DESK).page
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.get_by_text("Approved by").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('pre')).whiteSpaceCollapse") == "preserve"
    assert page.evaluate("getComputedStyle(document.querySelector('pre')).textWrapMode") == "wrap"
    # What is folded away in a row of the mapping is on paper all the same.
    folded = "getComputedStyle(document.querySelector('.mapping details'), '::details-content').contentVisibility"
    assert page.evaluate(folded) == "visible"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the example projects."""
    folder = tmp_path_factory.mktemp("site")
    build_site(ROOT, folder, version="Written of commit abc1234 of 2026-03-01.")
    return folder


def test_the_site_finds_a_field_by_the_words_that_are_typed(browser: Browser, site: Path) -> None:
    """In a folder on a disk, without a server."""
    opened = Opened(browser, site / "index.html", width=DESK)
    opened.page.get_by_label("Search clients").fill("KAROO price_list.name")
    rows = opened.page.locator("tbody tr:visible b").all_inner_texts()
    assert sorted(rows) == ["csv_price_tiers", "price_tier"]
    opened.page.get_by_label("Search clients").fill("karoo retail_list.name is")
    assert opened.page.locator("tbody tr:visible", has_text='where retail_list.name is "Retail"').count() == 1
    opened.page.get_by_label("Search clients").fill("left join price_list")
    assert opened.page.locator("table").first.locator("tbody tr:visible a").all_inner_texts() == ["karoo_outdoor"]
    assert opened.complaints == []
    assert len(opened.requests) == 1


def test_a_client_of_the_site_is_a_page_with_its_mapping_and_its_guards(browser: Browser, site: Path) -> None:
    """From a link of the index."""
    opened = Opened(browser, site / "index.html", width=PHONE)
    assert overflow(opened.page) == 0
    opened.page.get_by_role("link", name="karoo_outdoor").first.click()
    assert opened.page.locator("h1").inner_text() == "Karoo Outdoor, a database of its own (an example)"
    assert "of commit abc1234 of 2026-03-01" in opened.page.locator("header").inner_text()
    assert overflow(opened.page) == 0
    # On a phone a list takes the place of the drawing.
    assert opened.page.locator("svg.lineage").first.is_hidden()
    assert opened.page.locator(".narrow li", has_text="warehouse").first.is_visible()
    text = opened.page.locator("main").inner_text()
    assert "at most 25" in text
    assert "barcodes_of_13_digits" in text
    assert opened.page.locator("svg.lineage").count() == 2
    assert opened.complaints == []


def test_the_site_shows_a_clients_own_values_as_they_are_written(tmp_path: Path) -> None:
    """Not as Python has them; and of a source without a number no number."""
    root = write_project(tmp_path, settings='\n[vars]\nlists = { 1 = "Träde", 2 = true }\n')
    settings = root / "project.toml"
    settings.write_text(settings.read_text("utf-8").replace("source_id = 57", "source_id = 0"), "utf-8")
    build_site(tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "acme.html").read_text("utf-8")
    assert html.unescape(page).count('{"1": "Träde", "2": true}') == 1
    assert "Its source in Stock2Shop has no number yet" in page
    assert "not set yet" in (tmp_path / "site" / "index.html").read_text("utf-8")


def test_a_client_in_the_index_is_labelled_on_a_phone(browser: Browser, site: Path) -> None:
    """A bare 57 says nothing."""
    page = Opened(browser, site / "index.html", width=PHONE).page
    label = "getComputedStyle(document.querySelector('td[data-name=source]'), '::before').content"
    assert "source" in page.evaluate(label)


def test_the_site_shows_a_share_as_it_is_written(tmp_path: Path) -> None:
    """Not rounded to whole per cents: half a per cent is not none."""
    write_project(tmp_path, settings='\n[products]\nmax_deletes = "0.5%"\nmax_changes = "12.5%"\n')
    build_site(tmp_path, tmp_path / "site")
    page = (tmp_path / "site" / "acme.html").read_text("utf-8")
    assert "at most 0.5% of what is published" in page
    assert "at most 12.5% of what is published" in page


def test_the_site_never_holds_a_secret(tmp_path: Path) -> None:
    """Variables stand for their own names."""
    write_project(tmp_path, settings='\n[vars]\nkey = "${TEST_PASSWORD}"\n')
    (tmp_path / "projects" / "acme" / ".env").write_text("TEST_PASSWORD=hunter2-secret\n", "utf-8")
    build_site(tmp_path, tmp_path / "site")
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "site").iterdir())
    assert "hunter2" not in written
    assert "TEST_PASSWORD" in written


def test_a_client_that_is_faulty_has_a_page_that_says_why(tmp_path: Path) -> None:
    """And the others are there all the same."""
    write_project(tmp_path)
    broken = write_project(tmp_path, name="broken", view="select 1 as titel")
    assert broken.is_dir()
    acme, faulty = build_site(tmp_path, tmp_path / "site")
    assert (acme.name, acme.faults) == ("acme", ())
    assert "titel" in faulty.faults[0]
    assert str(tmp_path) not in (tmp_path / "site" / "broken.html").read_text("utf-8")
    assert (tmp_path / "site" / "acme.html").is_file()


def test_a_client_called_index_has_a_page_of_its_own(tmp_path: Path) -> None:
    """And the site its index, which leads to both."""
    for name in ("acme", "index"):
        write_project(tmp_path, name=name)
    build_site(tmp_path, tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "<code>index</code>" in (tmp_path / "site" / "_index.html").read_text("utf-8")
    assert 'href="_index.html"' in index
    assert 'href="acme.html"' in index


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """A site written over somebody's work would be a loss."""
    write_project(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="holds other files"):
        build_site(tmp_path, tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text("utf-8") == "mine"
    assert build_site(tmp_path, tmp_path / "site") == build_site(tmp_path, tmp_path / "site")
