"""Parses each statement of a file, a JSON text per line, by the grammar of CrateDB; fails when one is none.

Takes the file. `.ci/sqlparse` makes it and installs the parser.
"""

import json
import pathlib
import sys

from cratedb_sqlparse import sqlparse

# The least number of statements: a file that was cut short is no success.
STATEMENTS_MIN = 39


def refused(statement):
    """The reason why a statement is none of CrateDB's; None if it is one."""
    try:
        parsed = sqlparse(statement, raise_exception=True)
    except Exception as error:
        return str(error)
    if len(parsed) != 1:
        return f"{len(parsed)} statements in place of one"
    return None


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
    statements = [json.loads(line) for line in lines]
    if len(statements) < STATEMENTS_MIN:
        sys.exit(f"{len(statements)} statements in place of {STATEMENTS_MIN} or more")
    # The parser refuses at all.
    for wrong in ["CREATE TABLE t (a TEXTS INDEX)", "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE", statements[0] + "; SELECT 1"]:
        if refused(wrong) is None:
            sys.exit(f"the parser takes {wrong}")
    bad = [(statement, reason) for statement in statements if (reason := refused(statement))]
    for statement, reason in bad:
        print(f"{reason}: {statement}", file=sys.stderr)
    if bad:
        sys.exit(1)
    print(f"CrateDB's grammar takes all {len(statements)} statements")


main()
