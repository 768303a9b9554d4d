"""What PostgreSQL does for a statement of ours, measured where it is run: in its transaction, with its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One statement's `EXPLAIN (ANALYZE, BUFFERS)`."""

    statement: str
    root: dict[str, Any]

    @property
    def buffers(self) -> int:
        """Pages touched, cached or not."""
        return int(self.root["Shared Hit Blocks"]) + int(self.root["Shared Read Blocks"])

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Every node, the parent before its children."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", ())

    def scans(self) -> set[str]:
        """How tables are read, such as `Index Scan ix_video_analysis_jobs_lane` or `Seq Scan queue_lanes`."""
        return {
            f"{node['Node Type']} {node.get('Index Name') or node.get('Relation Name')}"
            for node in self.nodes()
            if "Scan" in node["Node Type"] and ("Relation Name" in node or "Index Name" in node)
        }


@contextmanager
def explained(engine: Engine) -> Iterator[list[Plan]]:
    """Collect the plans of all that the engine runs in this block: each is tried and undone, and then really run."""
    plans: list[Plan] = []

    def explain(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if many or not statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")):
            return
        with connection.connection.cursor() as cursor:
            cursor.execute("SAVEPOINT tried")
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            [[found]] = cursor.fetchall()
            cursor.execute("ROLLBACK TO SAVEPOINT tried; RELEASE SAVEPOINT tried")
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        plans.append(Plan(statement=statement, root=plan))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", explain)
