"""The documentation tells the truth about the code, and its links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomli
import yaml
from support.servers import free_port
from typer.main import get_command

from engine.cli.app import app
from engine.cli.command_line import arrange_words
from engine.config.schema import schema
from engine.orders import access, connections

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path for where in ("*.md", "docs/**/*.md", "projects/**/*.md", "snapshots/*.md") for path in ROOT.glob(where)
)
EXAMPLES = sorted(ROOT.glob("docs/examples/**/*.y*ml"))
SCHEMA = schema()
FENCED = re.compile(r"(?ms)^```(?P<kind>\w*)\n(?P<text>.*?)^```\n")
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_page_is_what_the_code_says(path: Path) -> None:
    """`just docs` was run after the code changed."""
    assert path.read_text("utf-8") == GENERATED[path]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_yaml(example: Path) -> None:
    """What reads it can."""
    assert yaml.safe_load(example.read_text("utf-8"))


ROWS = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()]
GLOSSARY = [row for row in ROWS if len(row) > 1 and row[0] != "word"]
AVOIDED = sorted(word.strip(" |") for row in GLOSSARY for word in "".join(row[2:]).split(",") if word.strip(" |"))


@cache
def texts() -> list[tuple[str, str]]:
    """What users and contributors read: pages, and the strings and docstrings of the code, each with its file."""
    pages = [page for page in PAGES if page.name not in {"glossary.md", "CHANGELOG.md"}]
    pages += sorted((ROOT / "engine").rglob("*.html"))
    found = [(page.relative_to(ROOT).as_posix(), page.read_text("utf-8")) for page in pages]
    for path in sorted((ROOT / "engine").rglob("*.py")):
        strings = (
            node.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        )
        found.append((path.relative_to(ROOT).as_posix(), "\n".join(strings)))
    return found


@pytest.mark.parametrize("word", AVOIDED)
def test_one_thing_has_one_word(word: str) -> None:
    """The glossary names the words that are not used; the other one stands beside them."""
    spelt = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    assert [name for name, text in texts() if spelt.search(text)] == []


def test_the_glossary_explains_what_the_commands_say() -> None:
    """Each word that the project goes by is there, once."""
    words = [term.strip() for row in GLOSSARY for term in row[0].split(",")]
    assert len(words) == len(set(words))
    for word in (
        "source",
        "view",
        "staged",
        "snapshot",
        "delta",
        "upsert",
        "quarantine",
        "in flight",
        "lease",
        "backoff",
    ):
        assert word in words


def called(text: str) -> Iterator[list[str]]:
    """The words of each call of ``s2s`` in a page: in a block of code, and in code among prose."""
    blocks = [block["text"] for block in FENCED.finditer(text) if block["kind"] != "sql"]
    prose = re.findall(r"`([^`\n]*\bs2s [^`\n]+)`", FENCED.sub("", text))
    for code in (*blocks, *(code for code in prose if "create " not in code)):
        for line in code.splitlines():
            for call in re.findall(r"(?:^|[\s/\\])s2s(?:\.exe)?((?: +[^\s`|;>#&\"]+)+)", line):
                yield call.split()


@cache
def command_line() -> Any:
    """The commands and their options."""
    return get_command(app)


def unknown_words(words: list[str]) -> list[str]:
    """What the command line does not know of a call: a command or an option."""
    at = command_line()
    words = arrange_words(words)
    options = {option: parameter for parameter in at.params for option in parameter.opts}
    waits = False
    for word in words:
        if waits:
            waits = False
        elif word.startswith("--"):
            name = word.partition("=")[0].rstrip(".,:)")
            if name not in options and name not in {"--help", "--install-completion"}:
                return [name]
            waits = "=" not in word and name in options and not options[name].is_flag
        elif getattr(at, "commands", None):
            if not re.fullmatch(r"[a-z]+", word):
                return []
            if word not in at.commands:
                return [word]
            at = at.commands[word]
            options = {option: parameter for parameter in at.params for option in parameter.opts}
    return []


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda page: page.name)
def test_a_page_calls_commands_that_there_are(page: Path) -> None:
    """With options that they know."""
    text = page.read_text("utf-8")
    calls = called(text if page.suffix == ".md" else f"```\n{text}```\n")
    assert [word for words in calls for word in unknown_words(words)] == []


def test_calls_are_found_in_pages_and_judged() -> None:
    """A wrong command, a wrong option and a wrong one behind a group are seen; right ones are not."""
    page = (
        "Say `s2s runn acme` or\n\n```\n$ s2s run --al   # all\ns2s orders serv acme\ns2s --debug run --all >log\n```\n"
    )
    assert sorted(word for words in called(page) for word in unknown_words(words)) == ["--al", "runn", "serv"]


def unknown_keys(table: dict[str, Any], about: dict[str, Any], *, where: str = "") -> Iterator[str]:
    """The keys of a piece of project.toml that its schema does not have."""
    options = [about, *about.get("anyOf", ()), *about.get("allOf", ())]
    options += [SCHEMA["$defs"][option["$ref"].rsplit("/", 1)[1]] for option in options if "$ref" in option]
    known = {key: value for option in options for key, value in option.get("properties", {}).items()}
    free = [option["additionalProperties"] for option in options if option.get("additionalProperties")]
    for key, value in table.items():
        if key not in known and not free:
            if known:
                yield f"{where}{key}"
            continue
        inner = known.get(key) or (free[0] if isinstance(free[0], dict) else {})
        if isinstance(value, dict):
            yield from unknown_keys(value, inner, where=f"{where}{key}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_settings_that_there_are(page: Path) -> None:
    """Each piece of project.toml is TOML, and has only keys that project.toml may have."""
    blocks = [block["text"] for block in FENCED.finditer(page.read_text("utf-8")) if block["kind"] == "toml"]
    assert [key for text in blocks for key in unknown_keys(tomli.loads(text), SCHEMA)] == []


def test_settings_are_judged() -> None:
    """A key that is not there is seen at every depth; a client's own values are not."""
    wrong = (
        "[vars]\nanything = 1\n[products]\nmax_delete = 1\n[orders.serve]\nhots = ''\n[products.expect]\nmin_row = 1\n"
    )
    assert list(unknown_keys(tomli.loads(wrong), SCHEMA)) == [
        "products.max_delete",
        "products.expect.min_row",
        "orders.serve.hots",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    """No page points to a file, or to a heading of one, that is not there."""
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        name, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / name if name else page
        if not target.exists() or (heading and heading not in headings(target)):
            missing.append(link)
    assert missing == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"(?m)^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_readme_names_every_command() -> None:
    """A command that is not in the README would not be found."""
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group has commands
    assert [name for name in commands if f"`s2s {name}" not in readme] == []


@pytest.mark.parametrize("page", ["orders.md", "security.md"])
def test_the_limits_of_the_receiver_are_those_of_the_code(page: str) -> None:
    """An operator sizes a proxy by them."""
    text = " ".join((ROOT / "docs" / page).read_text("utf-8").split())
    assert f"{connections.MAX_CONNECTIONS} " in text
    assert f"{connections.MAX_CONNECTIONS_PER_ADDRESS} from one address" in text
    seconds = connections.HEADER_TIMEOUT_SECONDS, connections.REQUEST_TIMEOUT_SECONDS
    assert re.search(rf"[Hh]eaders have {seconds[0]} seconds, a request has {seconds[1]}", text)
    assert access.FAILED_LOGIN_DELAY_SECONDS == 1
    assert "answered after a second" in text


def test_the_page_on_security_names_everybody_and_how_to_report() -> None:
    """Who is trusted with what, a chapter each, and that Windows' rights are not checked."""
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    chapters = re.findall(r"(?m)^## (.*)$", text)
    assert chapters == [
        "The client's database",
        "Stock2Shop",
        "The run log and the agent",
        "Orders",
        "A branch that nobody has read",
        "Other users of the machine",
        "The wheel",
        "Report a fault",
    ]
    assert "**Windows**: nothing sets or checks rights there" in text


def test_every_page_is_to_be_found() -> None:
    """The README leads to each page of docs/, by one link or two."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
        targets = [(page.parent / link).resolve() for link in links if "://" not in link]
        targets += [found for target in targets if target.is_dir() for found in target.glob("*.md")]
        waiting += [target for target in targets if target.suffix == ".md" and target not in reached]
    assert [page for page in ROOT.glob("docs/**/*.md") if page not in reached] == []


def test_the_runbook_quotes_what_the_engine_says() -> None:
    """Whoever searches the page for a message or a heading finds it: none has been reworded since."""
    said = {page.read_text("utf-8") for page in (ROOT / "engine" / "console").rglob("*.html")}
    for module in (ROOT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                said.add("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))  # type: ignore[misc]  # a part of a text is a text
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    page = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    quoted = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", page)
    assert len(quoted) > 20, "the messages were not found"
    unknown = []
    for message in quoted:
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")), re.DOTALL)
        if not any(pattern.search(text) for text in said):
            unknown.append(message)
    assert unknown == []


VARYING = re.compile(r"\b[0-9a-f]{12}\b|\d+\.\d s\b")
"""What differs from time to time in an output: digests and seconds."""


def shows(expected: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed; ``…`` stands for any text, alone on its line for any number of lines."""
    if not expected:
        return not printed
    if expected[0] == "…":
        return any(shows(expected[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    pattern = ".*".join(re.escape(part) for part in expected[0].split("…"))
    return bool(printed and re.fullmatch(pattern, printed[0])) and shows(expected[1:], printed[1:])


class Reader:
    """Follows a page in an empty folder: saves its files, types its commands, and compares what they print."""

    def __init__(self, home: Path) -> None:
        self.folder = self.home = home
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "NO_COLOR": "1",
            **{f"GIT_{who}_{what}": "you@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.served: list[subprocess.Popen[str]] = []

    def save(self, name: str, text: str) -> None:
        """A file with this content, in place of one that is there."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, "utf-8")

    def let(self, name: str, table: str, text: str) -> None:
        """A table of a TOML file, in place of the one that is there."""
        old = (self.folder / name).read_text("utf-8")
        new, found = re.subn(rf"(?ms)^\[{table}\].*?(?=^\[|\Z)", lambda _: f"{text}\n", old)
        assert found == 1, f"{name} has no [{table}]"
        self.save(name, new)

    def type(self, command: str, expected: str, *, code: int) -> None:
        """A command, run to its end; it must print what the page shows, and end with ``code``."""
        words = shlex.split(command)
        if words[0] == "cd":
            self.folder /= words[1]
            return
        ran = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, encoding="utf-8", check=False
        )
        printed = (ran.stdout + ran.stderr).replace(str(self.home), "/home/you")
        assert shows(self._lines(expected), self._lines(printed)), f"$ {command}\n{printed}"
        assert ran.returncode == code, f"$ {command}\n{printed}"

    def serve(self, command: str, expected: str) -> None:
        """A command that is left running; what it prints at first must be what the page shows."""
        started = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.served.append(started)
        assert started.stdout is not None
        assert [started.stdout.readline().strip() for _ in expected.splitlines()] == expected.splitlines()

    @staticmethod
    def _lines(output: str) -> list[str]:
        return [VARYING.sub("…", line).rstrip() for line in output.strip().splitlines()]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody who reads a page and does what it says; what they left running is stopped."""
    somebody = Reader(tmp_path)
    yield somebody
    for started in somebody.served:
        started.kill()
        started.communicate()


@pytest.mark.timeout(900)
def test_the_tutorial_works_as_it_is_printed(reader: Reader) -> None:
    """Each file saved and each command typed in an empty folder prints what the page shows, to the last line."""
    port = str(free_port())
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8").replace("8057", port)
    blocks = list(FENCED.finditer(page))
    ends = [0, *(block.end() for block in blocks)]
    starts = [*(block.start() for block in blocks), len(page)]
    typed = 0
    for number, block in enumerate(blocks):
        text = block["text"]
        before, after = page[ends[number] : starts[number]].strip(), page[ends[number + 1] : starts[number + 1]]
        if saved := re.search(r"Save as `(.+?)`:\Z", before):
            reader.save(saved[1], text)
        elif put := re.search(r"In `(.+?)`, let `\[(\w+)\]` be:\Z", before):
            reader.let(put[1], put[2], text)
        elif block["kind"] == "console":
            commands = [part.partition("\n") for part in re.split(r"(?m)^\$ ", text)[1:]]
            told = re.search(r"exit code (\d+)", after)
            for command, _, expected in commands:
                if "second terminal" in before:
                    reader.serve(f"{command} --port {port}", expected)
                else:
                    last = command == commands[-1][0]
                    reader.type(command, expected, code=int(told[1]) if told and last else 0)
                typed += 1
    assert typed > 10, "the page's commands were not found"


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:engine|tests|templates|docs)/[\w/.]+)`", ARCHITECTURE))))
def test_the_architecture_names_files_that_there_are(path: str) -> None:
    """A newcomer follows it file by file."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), re.findall(r"`(engine/[\w/]+\.py)` `(\w+)`", ARCHITECTURE))
def test_the_architecture_names_functions_that_there_are(path: str, name: str) -> None:
    """And function by function."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert name in {getattr(node, "name", "") for node in tree.body}


def test_the_architecture_draws_every_package() -> None:
    """The picture of the layers is that of the folder."""
    drawn = set(re.findall(r"\w+", ARCHITECTURE.split("```")[1]))
    there = {
        path.stem for path in (ROOT / "engine").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__", "__main__"} <= drawn
