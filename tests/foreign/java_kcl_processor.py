#!/usr/bin/env python3
"""A record processor of the Java KCL's MultiLangDaemon, which tells each step as a line of JSON in the file $TELL_TO.

Started by the daemon, one for each shard, as mixed_fleet.py sets it up; it speaks the daemon's protocol, lines of JSON on
standard input and output. It tells the same lines as fleet_worker.rs, and makes its checkpoints inside aggregates too.
"""

import base64
import json
import os
import sys
import time

WORKER, SHARD = os.environ["WORKER"], None
CHECKPOINT_INTERVAL = 1.0
WORK_TIME = 0.04
told = open(os.environ["TELL_TO"], "ab", buffering=0)


def tell(event, seq=None, sub=None, data=""):
    line = {"ev": event, "t": time.time(), "w": WORKER, "shard": SHARD, "seq": seq, "sub": sub, "data": data}
    told.write(json.dumps(line).encode() + b"\n")


def send(message):
    sys.stdout.write("\n" + json.dumps(message) + "\n")
    sys.stdout.flush()


def receive():
    for line in sys.stdin:
        if line.strip():
            return json.loads(line)
    sys.exit(0)


def checkpoint(seq=None, sub=None):
    """Asks the daemon for a checkpoint; returns whether it was made."""
    send({"action": "checkpoint", "sequenceNumber": seq, "subSequenceNumber": sub})
    answer = receive()
    if answer.get("error"):
        tell("refused", data=answer["error"])
    return not answer.get("error")


def process(records):
    """Returns whether a checkpoint was made."""
    for record in records:
        tell("record", record["sequenceNumber"], record.get("subSequenceNumber"), base64.b64decode(record["data"]).decode())
    if not records:
        return False
    time.sleep(WORK_TIME)
    inside = [record for record in records[: len(records) // 2 + 1] if record.get("subSequenceNumber")]
    if time.time() - checkpointed_at < CHECKPOINT_INTERVAL or not inside:
        return False
    place = inside[-1]["sequenceNumber"], inside[-1]["subSequenceNumber"]
    tell("checkpoint", *place)
    is_made = checkpoint(*place)
    if is_made:
        tell("made", *place)
    return is_made


checkpointed_at = time.time()
while True:
    message = receive()
    action = message["action"]
    if action == "initialize":
        SHARD = message["shardId"]
        seq = message.get("sequenceNumber") or ""
        is_place = seq.isdigit()
        tell("start", seq if is_place else None, message.get("subSequenceNumber") if is_place else None)
    elif action == "processRecords":
        if process(message["records"]):
            checkpointed_at = time.time()
    elif action == "leaseLost":
        tell("lost")
    elif action == "shardEnded":
        tell("ended")
        checkpoint()
    elif action == "shutdownRequested":
        tell("left")
    send({"action": "status", "responseFor": action})
