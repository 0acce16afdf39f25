"""review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pages.render import page_environment
from engine.review.text import NEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import Review


def review_page(reviews: Sequence[Review], *, against: str, version: str = "") -> str:
    """Reviews as one page, to be read by people who have never seen the tool and signed off by the client.

    ``version`` says which states were compared, so that a signature is below something that can be found again.
    """
    return (
        page_environment()
        .get_template("review.html")
        .render(reviews=reviews, against=against, version=version, new=NEW)
    )
