"""Values by name of which a document may have any: order.meta and order.payment."""

from __future__ import annotations

from typing import Any


class OptionalValues(dict[str, Any]):
    """Values by name, of which a document may have any: one that it does not have is None."""

    def __missing__(self, _name: str) -> None:
        return None

    def _refuse(self, *_arguments: object, **_names: object) -> Any:
        raise TypeError("the values of an order cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse
