"""Examples of each command, which stand below its ``--help`` and in the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "init": ("s2s init acme --template sap_business_one", "s2s init acme --introspect --table item"),
    "list": ("s2s list",),
    "check": ("s2s check", "s2s check acme --output json"),
    "render": ("s2s render acme", "s2s render acme customers"),
    "test": ("s2s test", "s2s test acme --update"),
    "review": ("s2s review acme", "s2s review --all --against main --output html --to review.html"),
    "docs": ("s2s docs --to site",),
    "preview": ("s2s preview acme --limit 5", "s2s preview acme --where variants.sku=HAM-1 --watch"),
    "plan": ("s2s plan acme", "s2s plan acme --entity products --full --output json"),
    "run": ("s2s run acme", "s2s run --all --log-format json", "s2s run acme --entity products --approve-deletes 40"),
    "agent": ("s2s agent --every 3m", "s2s agent install --every 3m --print"),
    "agent install": ("s2s agent install --every 3m --print", "s2s agent install --system --every 3m"),
    "agent remove": ("s2s agent remove --print",),
    "agent status": ("s2s agent status --system",),
    "schedule": ("s2s schedule install --every 3m --print",),
    "schedule install": ("s2s schedule install --every 3m --print", "s2s schedule install --every 5m --deadline 240"),
    "schedule remove": ("s2s schedule remove --print",),
    "schedule status": ("s2s schedule status",),
    "status": ("s2s status", "s2s status --watch", "s2s status --output prometheus"),
    "notify": ("s2s notify --test",),
    "explain": ("s2s explain acme HAM-500", "s2s explain HAM-500 --all --stored"),
    "history": ("s2s history acme", "s2s history acme --key HAM-500"),
    "quarantine": ("s2s quarantine list acme",),
    "quarantine list": ("s2s quarantine list acme", "s2s quarantine list acme --entity products --output json"),
    "quarantine retry": ("s2s quarantine retry acme", "s2s quarantine retry acme HAM-500"),
    "adopt": ("s2s adopt acme",),
    "verify": ("s2s verify acme", "s2s verify acme --repair"),
    "rebind": ("s2s rebind acme --keep",),
    "doctor": ("s2s doctor", "s2s doctor acme --live"),
    "sandbox": ("s2s sandbox --port 8057",),
    "demo": ("s2s demo",),
    "help": ("s2s help", "s2s help tutorial"),
    "orders": ("s2s orders list acme --status waiting", "s2s orders show acme 1001"),
    "orders serve": ("s2s orders serve acme",),
    "orders import": ("s2s orders import acme order.json --hold",),
    "orders pull": ("s2s orders pull acme",),
    "orders list": ("s2s orders list acme", "s2s orders list acme --status waiting --output json"),
    "orders show": ("s2s orders show acme 1001",),
    "orders plan": ("s2s orders plan acme 1001",),
    "orders retry": ("s2s orders retry acme", "s2s orders retry acme 1001"),
    "orders raise": ("s2s orders raise acme 1001 --by thandi",),
    "orders verify": ("s2s orders verify acme --days 7",),
    "orders skip": ("s2s orders skip acme 1001 --as SO-2044",),
    "fixtures": ("s2s fixtures capture acme --rows 40",),
    "fixtures capture": ("s2s fixtures capture acme --rows 40",),
    "secret": ("s2s secret set acme PASSWORD",),
    "secret set": ("s2s secret set acme PASSWORD",),
    "secret remove": ("s2s secret remove acme PASSWORD",),
}
"""By the command's path: a group that is no command of its own has one, too."""
