"""Our KPL aggregates against AWS's Python library, in both directions.

Usage: python3 kpl_aggregates.py PROGRAM

PROGRAM is the built example kpl_aggregates. Prints a closing line; the exit status is 1 if the two disagree.
Needs: pip install aws-kinesis-agg six
"""

import base64
import json
import random
import subprocess
import sys

from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

ROUNDS = 200
RECORDS_MAX = 60
DATA_BYTES_MAX = 400
KEYS = ["a", "device-1", "device-2", "é" * 256, "日本", "x" * 256]


def records(rng):
    """Random user records, some with a hash key of their own."""

    def record():
        hash_key = str(rng.getrandbits(128)) if rng.random() < 0.3 else None
        return {
            "key": rng.choice(KEYS),
            "hash_key": hash_key,
            "data": rng.randbytes(rng.randrange(DATA_BYTES_MAX)).hex(),
        }

    return [record() for _ in range(rng.randrange(2, RECORDS_MAX))]


def written_by_python(users):
    aggregator = RecordAggregator()
    for user in users:
        data = bytes.fromhex(user["data"])
        full = aggregator.add_user_record(user["key"], data, user["hash_key"])
        assert full is None, "the records fit one aggregate"
    _key, _hash_key, data = aggregator.clear_and_get().get_contents()
    return data


def split_by_python(data):
    record = {
        "kinesisSchemaVersion": "1.0",
        "data": base64.b64encode(data).decode(),
        "partitionKey": "a",
        "explicitHashKey": None,
        "sequenceNumber": "1",
        "approximateArrivalTimestamp": 0,
    }
    envelope = {"kinesis": record, "eventSource": "", "eventVersion": "", "eventID": "", "eventName": "",
                "invokeIdentityArn": "", "awsRegion": "", "eventSourceARN": ""}
    return [
        {
            "key": user["kinesis"]["partitionKey"],
            "hash_key": user["kinesis"].get("explicitHashKey"),
            "data": base64.b64decode(user["kinesis"]["data"]).hex(),
        }
        for user in deaggregate_records([envelope])
    ]


def without_made_up_hash_keys(theirs, ours):
    """AWS's reader gives a record without a hash key the first one of its aggregate."""
    return [
        {**read, "hash_key": read["hash_key"] if meant["hash_key"] else None}
        for read, meant in zip(theirs, ours, strict=True)
    ]


def main(program):
    child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(question):
        child.stdin.write(question + "\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    rng = random.Random(1)
    for number in range(ROUNDS):
        users = records(rng)
        read = json.loads(ask("split " + written_by_python(users).hex()))
        if read != users:
            sys.exit(f"round {number}: we do not read what AWS's library wrote")
        split = split_by_python(bytes.fromhex(ask("write " + json.dumps(users))))
        if without_made_up_hash_keys(split, users) != users:
            sys.exit(f"round {number}: AWS's library does not read what we wrote")
    damaged = bytearray(written_by_python(records(rng)))
    damaged[10] ^= 1
    if json.loads(ask("split " + bytes(damaged).hex())) is not None:
        sys.exit("an aggregate with a wrong MD5 is split")
    child.stdin.close()
    child.wait(timeout=10)
    print(f"{ROUNDS} aggregates in each direction: the two agree")


if __name__ == "__main__":
    main(sys.argv[1])
