"""Limits on what a template may do: a view is a few pages of SQL, and may come from a branch that nobody has read yet.

Jinja's sandbox keeps a template from reaching anything, but not from running for ever or from filling the memory. So
each turn of a loop and each call counts, texts stay small wherever they are made, and the time is limited.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

from engine.mapping.placeholders import UnwritableValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

MAX_STEPS = 1_000_000
"""Turns of loops and calls of macros and functions in one rendering."""

MAX_SECONDS = 30
"""How long one rendering may take."""

MAX_TEXT_LETTERS = 1_000_000
"""The length of a text or list that an expression makes."""

MAX_OUTPUT_LETTERS = 10_000_000
"""The length of what a template, a block or a macro writes."""

MAX_POWER_DIGITS = 1_000
"""How many digits the result of ``**`` may have."""


class TemplateLimitError(UnwritableValueError):
    """A template does more than a view may."""


class RenderLimits:
    """Counts what one rendering does. Each method raises :class:`TemplateLimitError` once it is too much."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin to count another rendering: a statement of orders is rendered once for each line."""
        self._steps = 0
        self._letters = 0
        self._deadline = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        """Count a turn of a loop, or a call."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateLimitError(f"The template's loops and macros take more than {MAX_STEPS:,} steps.")
        if time.monotonic() > self._deadline:
            raise TemplateLimitError(f"The template takes more than {MAX_SECONDS} s.")

    def loop(self, items: Iterable[Any]) -> Iterator[Any]:
        """Give the items of a loop and count them."""
        for item in items:
            self.step()
            yield item

    def output(self, parts: Iterable[str]) -> str:
        """Join what a template, a block or a macro wrote."""
        texts = list(parts)
        self._letters += sum(map(len, texts))
        if self._letters > MAX_OUTPUT_LETTERS:
            raise TemplateLimitError(f"The template writes more than {MAX_OUTPUT_LETTERS:,} letters.")
        return "".join(texts)

    def counted(self, write: Callable[[object], T]) -> Callable[[object], T]:
        """Return ``write``, which writes a value of a template, so that it counts what it writes."""

        def write_counted(value: object) -> T:
            self._count(value)
            return write(value)

        return write_counted

    def _count(self, value: object) -> None:
        items = value if isinstance(value, (list, tuple)) else (value,)
        self._letters += sum(_length(item) if isinstance(item, (str, bytes)) else 1 for item in items)
        if self._letters > MAX_OUTPUT_LETTERS:
            raise TemplateLimitError(f"The template writes more than {MAX_OUTPUT_LETTERS:,} letters.")

    def joined(self, parts: Iterable[object]) -> None:
        """Check the parts that ``~`` or the filter ``join`` is about to join."""
        self._check_size(sum(_length(part) for part in parts))

    def operation(self, operator: str, left: Any, right: Any) -> None:
        """Check an operation before it is done."""
        if operator == "*":
            size = _length(left) * right if isinstance(right, int) else 0
            size = max(size, _length(right) * left if isinstance(left, int) else 0)
            self._check_size(size)
        elif operator == "+":
            self._check_size(_length(left) + _length(right))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if right * left.bit_length() > MAX_POWER_DIGITS * 3:
                raise TemplateLimitError(f"A power has more than {MAX_POWER_DIGITS:,} digits.")
        elif operator == "%" and isinstance(left, str):
            self._check_widths(left)

    def call(self, function: Any, arguments: Iterable[Any]) -> None:
        """Count a call, and check the arguments of a text's own methods, such as ``ljust(80)``."""
        self.step()
        owner = getattr(function, "__self__", None)
        if isinstance(owner, str):
            self.text_call(owner, str(getattr(function, "__name__", "")), tuple(arguments))

    def text_call(self, text: str, method: str, arguments: tuple[Any, ...]) -> None:
        """Check what the method of a text, or the filter of that name, is about to make."""
        numbers = [argument for argument in arguments if isinstance(argument, int)]
        if method in {"ljust", "rjust", "center", "zfill", "expandtabs"}:
            self._check_size(max([0, *numbers]) * (len(text) if method == "expandtabs" else 1))
        elif method == "replace" and len(arguments) > 1:
            self._check_size(len(text) + (text.count(str(arguments[0])) if text else 0) * len(str(arguments[1])))
        elif method == "join" and arguments and hasattr(arguments[0], "__len__"):
            self._check_size(len(text) * len(arguments[0]))
        elif method in {"batch", "slice"}:
            self._check_size(max([0, *numbers]))
        elif method in {"format", "format_map"}:
            self._check_widths(text)

    @staticmethod
    def _check_size(size: int) -> None:
        if size > MAX_TEXT_LETTERS:
            raise TemplateLimitError(f"A text or list has more than {MAX_TEXT_LETTERS:,} letters or items.")

    def _check_widths(self, text: str) -> None:
        if "*" in text or re.search(r"\d{5}", text) or re.search(r":[^}]*\{", text):
            raise TemplateLimitError("A text is padded to a width that is not written out, or has five digits.")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, tuple)) else 0
