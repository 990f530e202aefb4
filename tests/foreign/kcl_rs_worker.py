#!/usr/bin/env python3
"""A worker of kcl-rs (the KCL in Rust with Python record processors), which tells each step as a line of JSON.

    pip install kcl-rs==0.1.4
    kcl_rs_worker.py STREAM APP ID         # the endpoints come from the environment

The same lines as fleet_worker.rs. A checkpoint lies inside an aggregate, near the middle of its batch.
"""

import json
import sys
import threading
import time

import kcl_rs

STREAM, APP, WORKER = sys.argv[1:4]
CHECKPOINT_INTERVAL = 1.0
WORK_TIME = 0.04
LOCK = threading.Lock()


def tell(event, shard, seq=None, sub=None, data=""):
    line = {"ev": event, "t": time.time(), "w": WORKER, "shard": shard, "seq": seq, "sub": sub, "data": data}
    with LOCK:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Teller(kcl_rs.RecordProcessorBase):
    def initialize(self, start):
        self.shard = start.shard_id
        self.at = time.time()
        seq = start.sequence_number
        is_place = seq is not None and seq.isdigit()
        tell("start", self.shard, seq if is_place else None, start.sub_sequence_number if is_place else None)

    def process_records(self, given):
        records = given.records
        for record in records:
            data = record.binary_data.decode()
            tell("record", self.shard, record.sequence_number, record.sub_sequence_number, data)
        if not records:
            return
        time.sleep(WORK_TIME)
        inside = [record for record in records[: len(records) // 2 + 1] if record.sub_sequence_number]
        if time.time() - self.at < CHECKPOINT_INTERVAL or not inside:
            return
        place = inside[-1].sequence_number, inside[-1].sub_sequence_number
        tell("checkpoint", self.shard, *place)
        try:
            given.checkpointer.checkpoint(*place)
            tell("made", self.shard, *place)
            self.at = time.time()
        except kcl_rs.CheckpointError as error:
            tell("refused", self.shard, data=str(error))

    def lease_lost(self, _):
        tell("lost", self.shard)

    def shard_ended(self, ended):
        tell("ended", self.shard)
        ended.checkpointer.checkpoint()

    def shutdown_requested(self, _):
        tell("left", self.shard)


kcl_rs.Scheduler(
    stream_name=STREAM,
    application_name=APP,
    record_processor_factory=Teller,
    worker_identifier=WORKER,
    region="us-east-1",
    initial_position="TRIM_HORIZON",
    retrieval_mode="POLLING",
    max_records=100,
    idle_time_between_reads_millis=250,
    shard_sync_interval_millis=5000,
).run()
