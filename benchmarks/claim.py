"""What a claim costs, by the length of the queue and the number of its owners, on PostgreSQL.

    python benchmarks/claim.py --json [--rows 1000 100000 1000000] [--owners 1 1000 100000] [--claims 300]

Every queue is filled on a database whose statistics were taken while it was empty, so that the plans are those of the
worst planner there is, and measured again after VACUUM ANALYZE. Commits are durable. A plan is printed as what each
statement of one claim reads, and the claim's own statement whole.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from backlog import fill
from plans import Plan, explained
from servers import postgres_server

from migrations import upgrade
from models import lanes
from models.database import Database, shared_now
from models.queue import JobQueue


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object, with the plans")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--owners", type=int, nargs="+", default=[1, 1_000, 100_000])
    parser.add_argument("--claims", type=int, default=300, help="measured for each figure")
    arguments = parser.parse_args()
    figures = []
    with postgres_server(durable=True) as server:
        for rows, owners in product(arguments.rows, arguments.owners):
            if owners <= rows:
                name = server.create_database()
                figures.append(measure(server.url(name), rows, owners, arguments.claims))
                server.drop_database(name)
                if not arguments.json:
                    print(_line(figures[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"claims": figures}, indent=2))


def measure(url: str, rows: int, owners: int, claims: int) -> dict[str, Any]:
    """One queue, from its filling to its claims."""
    upgrade(url)
    database = Database(url)
    _maintain(database, "ANALYZE")
    _maintain(database, "ALTER TABLE video_analysis_jobs SET (autovacuum_enabled = off)")
    _maintain(database, "ALTER TABLE queue_lanes SET (autovacuum_enabled = off)")
    fill(database, rows=rows, owners=owners)
    began = time.perf_counter()
    _admit_all(database)
    admitted_s = time.perf_counter() - began
    queue = JobQueue(database)
    stale = _claims(queue, database, claims)
    _maintain(database, "VACUUM ANALYZE")
    fresh = _claims(queue, database, claims)
    database.close()
    return {
        "rows": rows,
        "owners": owners,
        "admission_ms_per_1000": round(admitted_s * 1e6 / rows, 1),
        "empty_statistics": stale,
        "fresh_statistics": fresh,
    }


def _admit_all(database: Database) -> None:
    """As claims do it, a batch in a transaction."""
    admitted = lanes.BATCH
    while admitted == lanes.BATCH:
        with database.transaction() as transaction:
            lanes.walk_indexes(transaction)
            admitted = lanes.admit(transaction, shared_now(transaction))


def _claims(queue: JobQueue, database: Database, count: int) -> dict[str, Any]:
    queue.claim("bench")  # connects, and compiles the statements
    times_ms = []
    for _ in range(count):
        began = time.perf_counter()
        if queue.claim("bench") is None:
            raise RuntimeError("the queue ran dry")
        times_ms.append((time.perf_counter() - began) * 1e3)
    with explained(database.engine) as plans:
        queue.claim("bench")
    return {
        "median_ms": round(statistics.median(times_ms), 2),
        "p99_ms": round(statistics.quantiles(times_ms, n=100)[98], 2),
        "buffers": sum(plan.buffers for plan in plans),
        "scans": sorted(set().union(*(plan.scans() for plan in plans))),
        "claim_plan": _shown(next(plan for plan in plans if "LATERAL" in plan.statement)),
    }


def _shown(plan: Plan) -> list[str]:
    """A node a line: what it is, how many rows it gave, how many pages it touched, how long it took."""
    lines = []

    def walk(node: dict[str, Any], depth: int) -> None:
        of = node.get("Index Name") or node.get("Relation Name") or node.get("CTE Name") or ""
        pages = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        lines.append(
            f"{'  ' * depth}{node['Node Type']} {of} rows={node['Actual Rows']:.0f} loops={node['Actual Loops']} "
            f"buffers={pages} ms={node['Actual Total Time']:.3f}".replace("  rows", " rows")
        )
        for child in node.get("Plans", ()):
            walk(child, depth + 1)

    walk(plan.root, 0)
    return lines


def _maintain(database: Database, statement: str) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)


def _line(figure: dict[str, Any]) -> str:
    stale, fresh = figure["empty_statistics"], figure["fresh_statistics"]
    return (
        f"{figure['rows']:>9,} rows {figure['owners']:>7,} owners   "
        f"median {stale['median_ms']:6.2f} / {fresh['median_ms']:6.2f} ms   p99 {stale['p99_ms']:6.2f} / "
        f"{fresh['p99_ms']:6.2f} ms   buffers {stale['buffers']:>4} / {fresh['buffers']:>4}   "
        f"admission {figure['admission_ms_per_1000']:6.1f} ms per 1000"
    )


if __name__ == "__main__":
    main()
