"""Commands that are run where the rights of files count."""

from __future__ import annotations

import os


def powerless() -> list[str]:
    """What a command begins with so that it may no more than its user: root may do anything, but can give that up."""
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.getuid() == 0 else []
