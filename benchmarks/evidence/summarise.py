"""The grouping of `runtime summarize-ops` by other means, for the evidence benchmark.

usage: summarise.py duckdb|json EVENTS

Prints seconds of the work alone (without starting Python and importing) and, by operation, rows, unobserved, matches,
mismatches and distinct scenarios.
"""

import sys
import time

how, path = sys.argv[1:]
if how == "duckdb":
    import duckdb

    start = time.perf_counter()
    rows = duckdb.sql(
        f"""
        select operation, count(*), count(*) filter (intended_op_witnessed = false),
               count(*) filter (match), count(*) filter (not match), count(distinct scenario_id)
        from read_json('{path}', format = 'array', columns = {{
            operation: 'varchar', scenario_id: 'varchar', expectation_id: 'varchar', expected: 'varchar',
            actual: 'varchar', match: 'boolean', intended_op_witnessed: 'boolean', failure_stage: 'varchar',
            failure_kind: 'varchar', target: 'varchar', outcome: 'varchar'}})
        group by operation
        """
    ).fetchall()
else:
    import json

    start = time.perf_counter()
    groups = {}
    with open(path, encoding="utf-8") as file:
        for event in json.load(file):
            group = groups.setdefault(event["operation"], [0, 0, 0, 0, set()])
            group[0] += 1
            if event.get("intended_op_witnessed") is False:
                group[1] += 1
            elif event.get("match") is True:
                group[2] += 1
            elif event.get("match") is False:
                group[3] += 1
            group[4].add(event["scenario_id"])
    rows = [(name, *group[:4], len(group[4])) for name, group in groups.items()]
print(time.perf_counter() - start)
for row in sorted(rows):
    print(*row)
