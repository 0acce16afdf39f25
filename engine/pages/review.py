"""The HTML page of a review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.pages.render import render_page
from engine.review.decisions import NEW_PROJECT
from engine.review.text import SHARED_DESCRIPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.review.model import Review


def review_page(reviews: Sequence[Review], *, against: str, version: str = "") -> str:
    """Render reviews as one page, written for people who do not know the tool, with a place for the client to sign.

    ``version`` names the two states that were compared, so that they can be found again from a signed page.
    """
    return render_page(
        "review.html", reviews=reviews, against=against, version=version, new=NEW_PROJECT, shared=SHARED_DESCRIPTION
    )
