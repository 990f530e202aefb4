#!/usr/bin/env python3
"""Holds the response of a Firehose transform against what AWS publishes about it.

    firehose_rules.py EVENT.json RESPONSE.json [MORE PAIRS]
    some_program | firehose_rules.py         # one JSON object a line: {"event": .., "response": ..}, as texts

Knows nothing of how the response was made. Exits with 1 if a rule does not hold.
"""

import base64
import binascii
import json
import sys

RESPONSE_BYTES_MAX = 6_291_556
RESULTS = ("Ok", "Dropped", "ProcessingFailed")
FIELDS = {"recordId", "result", "data", "metadata"}


def broken_rules(event_bytes, response_bytes):
    """Says which rules a response breaks."""
    event = json.loads(event_bytes)
    if len(response_bytes) > RESPONSE_BYTES_MAX:
        yield f"the response has {len(response_bytes)} bytes, more than {RESPONSE_BYTES_MAX}"
    try:
        response = json.loads(response_bytes.decode("utf-8"), object_pairs_hook=no_field_twice)
    except ValueError as error:
        yield f"the response is not JSON: {error}"
        return
    if set(response) != {"records"} or not isinstance(response["records"], list):
        yield "the response is not an object with a list of records"
        return
    given = {record["recordId"] for record in event["records"]}
    answered = [record.get("recordId") for record in response["records"]]
    for record_id in sorted(given - set(answered)):
        yield f"{record_id} is not answered"
    for record_id in sorted(set(map(str, answered)) - given):
        yield f"{record_id} is answered, but was not in the event"
    if len(set(answered)) != len(answered):
        yield "an id is answered more than once"
    for record in response["records"]:
        for rule in broken_record_rules(record):
            yield f"{record.get('recordId')}: {rule}"


def broken_record_rules(record):
    if record.get("result") not in RESULTS:
        yield f"the result {record.get('result')!r} is none of {RESULTS}"
    if set(record) - FIELDS:
        yield f"unknown fields {set(record) - FIELDS}"
    if record.get("result") == "Ok" and "data" not in record:
        yield "it is Ok and has no data"
    data = record.get("data", "")
    try:
        decoded = base64.b64decode(data, validate=True)
        if base64.b64encode(decoded).decode() != data:
            yield "its data is not base64 as it is written"
    except (TypeError, ValueError, binascii.Error) as error:
        yield f"its data is not base64: {error}"
    keys = record.get("metadata", {}).get("partitionKeys", {})
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        yield "its partition keys are not texts"


def no_field_twice(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field twice")
    return fields


def pairs():
    paths = sys.argv[1:]
    if not paths:
        for line in sys.stdin:
            pair = json.loads(line)
            yield pair["event"].encode(), pair["response"].encode()
    for event, response in zip(paths[::2], paths[1::2], strict=True):
        with open(event, "rb") as event_file, open(response, "rb") as response_file:
            yield event_file.read(), response_file.read()


def main():
    checked, broken = 0, 0
    for number, (event, response) in enumerate(pairs(), 1):
        checked += 1
        for rule in broken_rules(event, response):
            broken += 1
            print(f"response {number}: {rule}")
    print(f"{checked} responses, {broken} broken rules")
    return 1 if broken or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
