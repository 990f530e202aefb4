"""Statements about Amazon Kinesis, checked with boto3 against any server.

Usage: python3 boto3_kinesis.py http://127.0.0.1:4567 [WORDS]

Prints one line per statement and a closing line; with WORDS, only the statements that hold them are checked.
The exit status is 1 if one of them does not hold. Needs: pip install boto3.
"""

import contextlib
import datetime
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

KEY_SPACE = 2**128
MIB = 1024 * 1024
ACTIVE_WAIT_MAX_SECONDS = 30
PAGES_MAX = 200
STATEMENTS = []


def check(statement):
    """Registers a function as the proof of a statement. It gets a client."""

    def register(proof):
        STATEMENTS.append((statement, proof))
        return proof

    return register


def connect(endpoint):
    config = Config(
        retries={"total_max_attempts": 1},
        read_timeout=30,
        parameter_validation=False,
    )
    return boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
        verify=False,
    )


# What the proofs are made of.


def until(condition, what):
    end = time.monotonic() + ACTIVE_WAIT_MAX_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited too long: {what}"
        time.sleep(0.02)


def status(kinesis, name):
    summary = kinesis.describe_stream_summary(StreamName=name)
    return summary["StreamDescriptionSummary"]["StreamStatus"]


def until_active(kinesis, name):
    until(lambda: status(kinesis, name) == "ACTIVE", f"{name} becomes ACTIVE")


@contextlib.contextmanager
def stream(kinesis, shards=1):
    name = f"check-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    until_active(kinesis, name)
    try:
        yield name
    finally:
        with contextlib.suppress(ClientError):
            kinesis.delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def arn_of(kinesis, name):
    return kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]


def shards_of(kinesis, name, **filters):
    return kinesis.list_shards(StreamName=name, **filters)["Shards"]


def open_shards(kinesis, name):
    return [s for s in shards_of(kinesis, name) if "EndingSequenceNumber" not in s["SequenceNumberRange"]]


def bounds(shard):
    keys = shard["HashKeyRange"]
    return int(keys["StartingHashKey"]), int(keys["EndingHashKey"])


def put(kinesis, name, data=b"x", key="key", **more):
    return kinesis.put_record(StreamName=name, Data=data, PartitionKey=key, **more)


def iterator(kinesis, name, shard, kind="TRIM_HORIZON", **more):
    answer = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)
    return answer["ShardIterator"]


def read(kinesis, name, shard, kind="TRIM_HORIZON", expected=None, **more):
    """The records of a shard from there on: to its end, or to its tip."""
    place = iterator(kinesis, name, shard, kind, **more)
    records = []
    for _ in range(PAGES_MAX):
        page = kinesis.get_records(ShardIterator=place)
        records += page["Records"]
        place = page.get("NextShardIterator")
        if not place or (page["MillisBehindLatest"] == 0 and not page["Records"]):
            break
        if expected is not None and len(records) >= expected:
            break
    return records


def last_page(kinesis, name, shard):
    place = iterator(kinesis, name, shard)
    for _ in range(PAGES_MAX):
        page = kinesis.get_records(ShardIterator=place)
        place = page.get("NextShardIterator")
        if not place:
            return page
    raise AssertionError("a closed shard has no end")


@contextlib.contextmanager
def exact_time(kinesis, time):
    """Has iterators begin at this time exactly: some versions of boto3 send the whole second in its place."""

    def write(params, **_):
        members = json.loads(params["body"])
        params["body"] = json.dumps(members | {"Timestamp": round(time.timestamp(), 3)}).encode()

    event = "before-call.kinesis.GetShardIterator"
    kinesis.meta.events.register(event, write)
    try:
        yield
    finally:
        kinesis.meta.events.unregister(event, write)


@contextlib.contextmanager
def with_members(kinesis, operation, **members):
    """Has calls of an operation carry members that this version of boto3 may not know."""

    def write(params, **_):
        params["body"] = json.dumps(json.loads(params["body"]) | members).encode()

    event = f"before-call.kinesis.{operation}"
    kinesis.meta.events.register(event, write)
    try:
        yield
    finally:
        kinesis.meta.events.unregister(event, write)


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}


def exchange(kinesis, method, headers, body=b""):
    """Status, headers and body of the answer to a request that is written by hand."""
    request = urllib.request.Request(
        kinesis.meta.endpoint_url, data=body or None, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def post(kinesis, operation, members, **headers):
    known = SIGNED | {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"Kinesis_20131202.{operation}",
    }
    return exchange(kinesis, "POST", known | headers, json.dumps(members).encode())


def data_of(records):
    return [record["Data"] for record in records]


def refused(codes, call, *words):
    """The call is refused, with this code or, where the service's own changed over time, one of several."""
    codes = (codes,) if isinstance(codes, str) else codes
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found in codes, f"refused with {found}, not {codes}"
        message = error.response["Error"].get("Message", "")
        for word in words:
            assert word in message, f"{message!r} does not name {word}"
        return
    raise AssertionError(f"it was taken, not refused with {codes}")


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def split(kinesis, name, shard):
    first, last = bounds(shard)
    half = (first + last) // 2 + 1
    kinesis.split_shard(StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(half))
    until_active(kinesis, name)
    return half


# Streams.


@check("A new stream's shards cover the key space once, in order")
def _(kinesis):
    with stream(kinesis, 3) as name:
        ranges = sorted(bounds(shard) for shard in shards_of(kinesis, name))
        equal(len(ranges), 3)
        equal(ranges[0][0], 0)
        equal(ranges[-1][1], KEY_SPACE - 1)
        for before, after in zip(ranges, ranges[1:]):
            equal(after[0], before[1] + 1)


@check("A new stream keeps records for 24 hours, is PROVISIONED and not encrypted")
def _(kinesis):
    with stream(kinesis) as name:
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        equal(summary["RetentionPeriodHours"], 24)
        equal(summary["StreamModeDetails"]["StreamMode"], "PROVISIONED")
        equal(summary.get("EncryptionType", "NONE"), "NONE")
        equal(summary["OpenShardCount"], 1)
        equal(summary["ConsumerCount"], 0)


@check("A name that is in use is refused with ResourceInUseException")
def _(kinesis):
    with stream(kinesis) as name:
        refused("ResourceInUseException", lambda: kinesis.create_stream(StreamName=name, ShardCount=1), name)


@check("An unknown stream is a ResourceNotFoundException that names it")
def _(kinesis):
    refused("ResourceNotFoundException", lambda: put(kinesis, "no-such-stream"), "no-such-stream")
    refused("ResourceNotFoundException", lambda: kinesis.describe_stream(StreamName="no-such-stream"))


@check("ListStreams pages by name, and NextToken goes on where the page ended")
def _(kinesis):
    with stream(kinesis) as one, stream(kinesis) as two, stream(kinesis) as three:
        wanted = {one, two, three}
        found, token = [], {}
        for _ in range(PAGES_MAX):
            page = kinesis.list_streams(Limit=1, **token)
            found += page["StreamNames"]
            if not page["HasMoreStreams"]:
                break
            token = {"ExclusiveStartStreamName": page["StreamNames"][-1]}
        equal(found, sorted(found))
        assert wanted <= set(found), f"missing: {wanted - set(found)}"


@check("ListShards pages with NextToken, which excludes StreamName")
def _(kinesis):
    with stream(kinesis, 5) as name:
        page = kinesis.list_shards(StreamName=name, MaxResults=2)
        found = [shard["ShardId"] for shard in page["Shards"]]
        for _ in range(PAGES_MAX):
            if "NextToken" not in page:
                break
            token = page["NextToken"]
            page = kinesis.list_shards(NextToken=token, MaxResults=2)
            found += [shard["ShardId"] for shard in page["Shards"]]
        equal(found, [f"shardId-{number:012}" for number in range(5)])
        first = kinesis.list_shards(StreamName=name, MaxResults=2)["NextToken"]
        refused(
            "InvalidArgumentException",
            lambda: kinesis.list_shards(StreamName=name, NextToken=first),
        )


@check("ListShards takes ExclusiveStartShardId")
def _(kinesis):
    with stream(kinesis, 3) as name:
        found = shards_of(kinesis, name, ExclusiveStartShardId="shardId-000000000000")
        equal([shard["ShardId"] for shard in found], ["shardId-000000000001", "shardId-000000000002"])


@check("An on-demand stream begins with four shards")
def _(kinesis):
    name = f"check-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    until_active(kinesis, name)
    try:
        equal(len(shards_of(kinesis, name)), 4)
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        equal(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND")
    finally:
        kinesis.delete_stream(StreamName=name)


@check("Retention is raised and lowered, and DescribeStream shows it")
def _(kinesis):
    with stream(kinesis) as name:
        kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
        until_active(kinesis, name)
        equal(kinesis.describe_stream(StreamName=name)["StreamDescription"]["RetentionPeriodHours"], 48)
        kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=24)
        until_active(kinesis, name)
        equal(kinesis.describe_stream(StreamName=name)["StreamDescription"]["RetentionPeriodHours"], 24)
        refused(
            "InvalidArgumentException",
            lambda: kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=12),
        )


@check("Tags are added, listed and removed")
def _(kinesis):
    with stream(kinesis) as name:
        kinesis.add_tags_to_stream(StreamName=name, Tags={"team": "sea", "cost": "low"})
        tags = kinesis.list_tags_for_stream(StreamName=name)["Tags"]
        equal({tag["Key"]: tag["Value"] for tag in tags}, {"team": "sea", "cost": "low"})
        kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["cost"])
        tags = kinesis.list_tags_for_stream(StreamName=name)["Tags"]
        equal([tag["Key"] for tag in tags], ["team"])


@check("A deleted stream is gone")
def _(kinesis):
    with stream(kinesis) as name:
        kinesis.delete_stream(StreamName=name)

        def gone():
            try:
                return status(kinesis, name) != "DELETING"
            except ClientError as error:
                equal(error.response["Error"]["Code"], "ResourceNotFoundException")
                return True

        until(gone, "the stream is gone")
        refused("ResourceNotFoundException", lambda: status(kinesis, name))


# Putting.


@check("A put answers with the shard whose range holds the MD5 of the key")
def _(kinesis):
    with stream(kinesis, 4) as name:
        ranges = {shard["ShardId"]: bounds(shard) for shard in shards_of(kinesis, name)}
        for key in ["a", "b", "device-17", "\u00fc\u4e2d\U0001f30a", "k" * 256]:
            hashed = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
            first, last = ranges[put(kinesis, name, key=key)["ShardId"]]
            assert first <= hashed <= last, f"key {key!r} went to the wrong shard"


@check("An explicit hash key takes the place of the key's MD5")
def _(kinesis):
    with stream(kinesis, 4) as name:
        for shard in shards_of(kinesis, name):
            for edge in bounds(shard):
                equal(put(kinesis, name, ExplicitHashKey=str(edge))["ShardId"], shard["ShardId"])
        refused("InvalidArgumentException", lambda: put(kinesis, name, ExplicitHashKey=str(KEY_SPACE)))


@check("Sequence numbers of a shard increase, and have 56 digits")
def _(kinesis):
    with stream(kinesis) as name:
        numbers = [put(kinesis, name)["SequenceNumber"] for _ in range(20)]
        equal({len(number) for number in numbers}, {56})
        equal([int(number) for number in numbers], sorted({int(number) for number in numbers}))


@check("PutRecords answers per entry, in the order of the request")
def _(kinesis):
    with stream(kinesis, 2) as name:
        entries = [{"Data": str(n).encode(), "PartitionKey": f"key-{n}"} for n in range(500)]
        answer = kinesis.put_records(StreamName=name, Records=entries)
        equal((answer["FailedRecordCount"], len(answer["Records"])), (0, 500))
        places = {(record["ShardId"], record["SequenceNumber"]): n for n, record in enumerate(answer["Records"])}
        equal(len(places), 500)
        for shard in shards_of(kinesis, name):
            for record in read(kinesis, name, shard["ShardId"]):
                number = places.pop((shard["ShardId"], record["SequenceNumber"]))
                equal(record["Data"], str(number).encode())
                equal(record["PartitionKey"], f"key-{number}")
        equal(places, {})


@check("PutRecords takes at most 500 entries, and at least one")
def _(kinesis):
    with stream(kinesis) as name:
        entry = {"Data": b"x", "PartitionKey": "key"}
        refused("ValidationException", lambda: kinesis.put_records(StreamName=name, Records=[entry] * 501))
        refused("ValidationException", lambda: kinesis.put_records(StreamName=name, Records=[]))


@check("A record of 1 MiB, key included, is taken; one byte more is refused")
def _(kinesis):
    with stream(kinesis) as name:
        put(kinesis, name, b"x" * (MIB - 3), "key")
        too_large = ("InvalidArgumentException", "ValidationException")
        refused(too_large, lambda: put(kinesis, name, b"x" * (MIB + 1), "key"))


@check("A request of 9 MiB is taken; one over 10 MiB is refused")
def _(kinesis):
    with stream(kinesis) as name:
        entries = [{"Data": b"x" * (MIB - 100), "PartitionKey": "key"} for _ in range(9)]
        equal(len(kinesis.put_records(StreamName=name, Records=entries)["Records"]), 9)
        entries = [{"Data": b"x" * (MIB - 100), "PartitionKey": "key"} for _ in range(11)]
        refused("InvalidArgumentException", lambda: kinesis.put_records(StreamName=name, Records=entries))


@check("A partition key has 1 to 256 characters")
def _(kinesis):
    with stream(kinesis) as name:
        put(kinesis, name, key="\u4e2d" * 256)
        refused("ValidationException", lambda: put(kinesis, name, key=""), "partitionKey")
        refused("ValidationException", lambda: put(kinesis, name, key="k" * 257), "partitionKey")


@check("Puts and reads take StreamARN in place of the name")
def _(kinesis):
    with stream(kinesis) as name:
        arn = arn_of(kinesis, name)
        kinesis.put_record(StreamARN=arn, Data=b"one", PartitionKey="key")
        kinesis.put_records(StreamARN=arn, Records=[{"Data": b"two", "PartitionKey": "key"}])
        shard = kinesis.list_shards(StreamARN=arn)["Shards"][0]["ShardId"]
        place = kinesis.get_shard_iterator(StreamARN=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        page = kinesis.get_records(StreamARN=arn, ShardIterator=place["ShardIterator"])
        equal(data_of(page["Records"]), [b"one", b"two"])


# Reading.


@check("Every kind of iterator begins where it says")
def _(kinesis):
    with stream(kinesis) as name:
        numbers = [put(kinesis, name, data)["SequenceNumber"] for data in [b"1", b"2", b"3"]]
        shard = "shardId-000000000000"
        latest = iterator(kinesis, name, shard, "LATEST")
        put(kinesis, name, b"4")
        equal(data_of(read(kinesis, name, shard)), [b"1", b"2", b"3", b"4"])
        at = {"StartingSequenceNumber": numbers[1]}
        equal(data_of(read(kinesis, name, shard, "AT_SEQUENCE_NUMBER", **at)), [b"2", b"3", b"4"])
        equal(data_of(read(kinesis, name, shard, "AFTER_SEQUENCE_NUMBER", **at)), [b"3", b"4"])
        equal(data_of(kinesis.get_records(ShardIterator=latest)["Records"]), [b"4"])


@check("AT_TIMESTAMP begins at the millisecond")
def _(kinesis):
    with stream(kinesis) as name:
        shard = put(kinesis, name, b"before")["ShardId"]
        time.sleep(0.05)
        put(kinesis, name, b"after")
        before, after = read(kinesis, name, shard, expected=2)
        assert before["ApproximateArrivalTimestamp"] < after["ApproximateArrivalTimestamp"], "same arrival time"
        at = after["ApproximateArrivalTimestamp"]
        for time_before, found in [(0, [b"after"]), (10, [b"after"]), (-1, [])]:
            start = at - datetime.timedelta(milliseconds=time_before)
            with exact_time(kinesis, start):
                equal(data_of(read(kinesis, name, shard, "AT_TIMESTAMP", Timestamp=start)), found)


@check("Limit bounds a page, and the next page goes on behind it")
def _(kinesis):
    with stream(kinesis) as name:
        for number in range(5):
            put(kinesis, name, str(number).encode())
        page = kinesis.get_records(ShardIterator=iterator(kinesis, name, "shardId-000000000000"), Limit=2)
        equal(data_of(page["Records"]), [b"0", b"1"])
        page = kinesis.get_records(ShardIterator=page["NextShardIterator"])
        equal(data_of(page["Records"]), [b"2", b"3", b"4"])


@check("MillisBehindLatest is 0 at the tip and more before it")
def _(kinesis):
    with stream(kinesis) as name:
        put(kinesis, name)
        time.sleep(0.05)
        put(kinesis, name)
        place = iterator(kinesis, name, "shardId-000000000000")
        page = kinesis.get_records(ShardIterator=place, Limit=1)
        assert page["MillisBehindLatest"] > 0, "0 before the tip"
        page = kinesis.get_records(ShardIterator=page["NextShardIterator"])
        equal(page["MillisBehindLatest"], 0)


@check("An iterator that was never given out is refused with InvalidArgumentException")
def _(kinesis):
    refused("InvalidArgumentException", lambda: kinesis.get_records(ShardIterator="AAAA"))


@check("An unknown shard is a ResourceNotFoundException")
def _(kinesis):
    with stream(kinesis) as name:
        refused("ResourceNotFoundException", lambda: iterator(kinesis, name, "shardId-000000000099"))


@check("A page holds at most 10 MiB")
def _(kinesis):
    with stream(kinesis) as name:
        for _ in range(12):
            put(kinesis, name, b"x" * (MIB - 10))
        page = kinesis.get_records(ShardIterator=iterator(kinesis, name, "shardId-000000000000"))
        assert 1 <= len(page["Records"]) <= 10, f"{len(page['Records'])} records of 1 MiB in one page"
        equal(len(read(kinesis, name, "shardId-000000000000", expected=12)), 12)


# Resharding.


@check("A split makes two children of one parent that cover its range")
def _(kinesis):
    with stream(kinesis) as name:
        parent = shards_of(kinesis, name)[0]
        half = split(kinesis, name, parent)
        children = [shard for shard in shards_of(kinesis, name) if shard["ShardId"] != parent["ShardId"]]
        equal([shard.get("ParentShardId") for shard in children], [parent["ShardId"]] * 2)
        equal(sorted(bounds(shard) for shard in children), [(0, half - 1), (half, KEY_SPACE - 1)])
        closed = shards_of(kinesis, name)[0]
        assert "EndingSequenceNumber" in closed["SequenceNumberRange"], "the parent stays open"


@check("A closed shard is read to its end, which names its children")
def _(kinesis):
    with stream(kinesis) as name:
        put(kinesis, name, b"before")
        parent = shards_of(kinesis, name)[0]
        split(kinesis, name, parent)
        put(kinesis, name, b"after")
        equal(data_of(read(kinesis, name, parent["ShardId"])), [b"before"])
        page = last_page(kinesis, name, parent["ShardId"])
        assert "NextShardIterator" not in page, "there is a next page"
        children = {child["ShardId"]: child for child in page.get("ChildShards", [])}
        equal(sorted(children), ["shardId-000000000001", "shardId-000000000002"])
        for child in children.values():
            equal(child["ParentShards"], [parent["ShardId"]])


@check("A merged shard names both parents and covers both ranges")
def _(kinesis):
    with stream(kinesis, 2) as name:
        one, two = shards_of(kinesis, name)
        kinesis.merge_shards(StreamName=name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=two["ShardId"])
        until_active(kinesis, name)
        merged = open_shards(kinesis, name)
        equal(len(merged), 1)
        parents = {merged[0].get("ParentShardId"), merged[0].get("AdjacentParentShardId")}
        equal(parents, {one["ShardId"], two["ShardId"]})
        equal(bounds(merged[0]), (0, KEY_SPACE - 1))


@check("Shards that are not adjacent cannot be merged")
def _(kinesis):
    with stream(kinesis, 3) as name:
        ends = {"ShardToMerge": "shardId-000000000000", "AdjacentShardToMerge": "shardId-000000000002"}
        refused("InvalidArgumentException", lambda: kinesis.merge_shards(StreamName=name, **ends))


@check("UpdateShardCount makes children that name their parents")
def _(kinesis):
    with stream(kinesis, 2) as name:
        kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        until_active(kinesis, name)
        shards = open_shards(kinesis, name)
        equal(len(shards), 4)
        for shard in shards:
            assert "ParentShardId" in shard, f"{shard['ShardId']} names no parent"


@check("ShardFilter tells open shards from all that can be read")
def _(kinesis):
    with stream(kinesis) as name:
        put(kinesis, name)
        split(kinesis, name, shards_of(kinesis, name)[0])
        ids = lambda kind: [shard["ShardId"][-1] for shard in shards_of(kinesis, name, ShardFilter=kind)]
        equal(ids({"Type": "AT_LATEST"}), ["1", "2"])
        equal(ids({"Type": "AT_TRIM_HORIZON"}), ["0"])
        equal(ids({"Type": "FROM_TRIM_HORIZON"}), ["0", "1", "2"])
        equal(ids({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}), ["2"])


# Enhanced fan-out.


@contextlib.contextmanager
def consumer(kinesis, name):
    arn = arn_of(kinesis, name)
    registered = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="check")["Consumer"]
    found = lambda: kinesis.describe_stream_consumer(ConsumerARN=registered["ConsumerARN"])["ConsumerDescription"]
    until(lambda: found()["ConsumerStatus"] == "ACTIVE", "the consumer becomes ACTIVE")
    yield registered["ConsumerARN"]


def events(kinesis, consumer_arn, shard, wanted, **start):
    """The events of a subscription until it has given `wanted` records, or ends."""
    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer_arn, ShardId=shard, StartingPosition=start)
    found, records = [], 0
    for event in answer["EventStream"]:
        found.append(event["SubscribeToShardEvent"])
        records += len(found[-1]["Records"])
        if wanted is not None and records >= wanted:
            break
    answer["EventStream"].close()
    return found


@check("A registered consumer is listed, described and deregistered")
def _(kinesis):
    with stream(kinesis) as name, consumer(kinesis, name) as consumer_arn:
        arn = arn_of(kinesis, name)
        listed = kinesis.list_stream_consumers(StreamARN=arn)["Consumers"]
        equal([found["ConsumerName"] for found in listed], ["check"])
        again = lambda: kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="check")
        refused("ResourceInUseException", again)
        kinesis.deregister_stream_consumer(ConsumerARN=consumer_arn)
        until(lambda: not kinesis.list_stream_consumers(StreamARN=arn)["Consumers"], "the consumer is gone")


@check("A subscription gives stored records and then new ones, with where to go on")
def _(kinesis):
    with stream(kinesis) as name, consumer(kinesis, name) as consumer_arn:
        shard = put(kinesis, name, b"one")["ShardId"]
        put(kinesis, name, b"two")
        found = events(kinesis, consumer_arn, shard, 2, Type="TRIM_HORIZON")
        equal([record["Data"] for event in found for record in event["Records"]], [b"one", b"two"])
        assert int(found[-1]["ContinuationSequenceNumber"]) > 0
        assert "MillisBehindLatest" in found[-1]


@check("A subscription to a closed shard ends and names the children")
def _(kinesis):
    with stream(kinesis) as name, consumer(kinesis, name) as consumer_arn:
        shard = put(kinesis, name, b"one")["ShardId"]
        split(kinesis, name, shards_of(kinesis, name)[0])
        found = events(kinesis, consumer_arn, shard, None, Type="TRIM_HORIZON")
        equal([record["Data"] for event in found for record in event["Records"]], [b"one"])
        children = [child["ShardId"] for child in found[-1].get("ChildShards", [])]
        equal(sorted(children), ["shardId-000000000001", "shardId-000000000002"])


@check("An unknown consumer cannot subscribe")
def _(kinesis):
    with stream(kinesis) as name:
        arn = f"{arn_of(kinesis, name)}/consumer/nobody:1"
        start = {"Type": "LATEST"}
        call = lambda: kinesis.subscribe_to_shard(
            ConsumerARN=arn, ShardId="shardId-000000000000", StartingPosition=start
        )
        refused("ResourceNotFoundException", call)


# Answers that others recorded on AWS.


@check("A stream that is created by its name alone is on demand, with four shards")
def _(kinesis):
    name = f"check-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=name)
    until_active(kinesis, name)
    try:
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        equal(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND")
        equal(summary["OpenShardCount"], 4)
        refused(
            "ValidationException",
            lambda: kinesis.update_shard_count(
                StreamName=name, TargetShardCount=8, ScalingType="UNIFORM_SCALING"
            ),
            f"Request is invalid. Stream {name} under account",
            "is in On-Demand mode.",
        )
    finally:
        kinesis.delete_stream(StreamName=name)


@check("A call with DryRun is checked and not carried out")
def _(kinesis):
    with stream(kinesis) as name:
        shard = "shardId-000000000000"
        place = iterator(kinesis, name, shard)
        entry = {"Data": b"x", "PartitionKey": "key"}
        calls = {
            "PutRecord": lambda: put(kinesis, name),
            "PutRecords": lambda: kinesis.put_records(StreamName=name, Records=[entry]),
            "GetRecords": lambda: kinesis.get_records(ShardIterator=place),
            "GetShardIterator": lambda: iterator(kinesis, name, shard),
        }
        for operation, call in calls.items():
            with with_members(kinesis, operation, DryRun=True):
                refused("DryRunOperationException", call)
        with with_members(kinesis, "PutRecord", DryRun=True):
            refused("ValidationException", lambda: put(kinesis, name, key=""))
            refused("ResourceNotFoundException", lambda: put(kinesis, "no-such-stream"))
        equal(data_of(read(kinesis, name, shard)), [])


@check("A DryRun of a subscription leaves the consumer free to subscribe, once in 5 seconds")
def _(kinesis):
    with stream(kinesis) as name, consumer(kinesis, name) as consumer_arn:
        shard = put(kinesis, name, b"one")["ShardId"]
        subscribe = lambda: events(kinesis, consumer_arn, shard, 1, Type="TRIM_HORIZON")
        with with_members(kinesis, "SubscribeToShard", DryRun=True):
            refused("DryRunOperationException", subscribe)
        subscribe()
        refused(
            "ResourceInUseException",
            subscribe,
            "Another active subscription exists for this consumer: ",
            f":{name}:{shard}:check",
        )


@check("The continuation of an event is no record's number, and goes on behind the last record")
def _(kinesis):
    with stream(kinesis) as name, consumer(kinesis, name) as consumer_arn:
        one = put(kinesis, name, b"one")
        found = events(kinesis, consumer_arn, one["ShardId"], 1, Type="TRIM_HORIZON")
        number = found[-1]["ContinuationSequenceNumber"]
        assert number != one["SequenceNumber"], "it is the last record's"
        put(kinesis, name, b"two")
        after = {"StartingSequenceNumber": number}
        equal(data_of(read(kinesis, name, one["ShardId"], "AFTER_SEQUENCE_NUMBER", **after)), [b"two"])


@check("StreamId is taken on inputs, and a summary counts channels and queues")
def _(kinesis):
    with stream(kinesis) as name:
        with with_members(kinesis, "DescribeStreamSummary", StreamId="a" * 20 + "-abc"):
            equal(status(kinesis, name), "ACTIVE")
        code, _, body = post(kinesis, "DescribeStreamSummary", {"StreamName": name})
        equal(code, 200)
        summary = json.loads(body)["StreamDescriptionSummary"]
        equal((summary["ChannelCount"], summary["QueueCount"]), (0, 0))


@check("NextToken of ListShards excludes StreamARN too, and one of name and token is needed")
def _(kinesis):
    with stream(kinesis, 3) as name:
        arn = arn_of(kinesis, name)
        token = kinesis.list_shards(StreamARN=arn, MaxResults=1)["NextToken"]
        both = lambda: kinesis.list_shards(StreamARN=arn, NextToken=token)
        refused("InvalidArgumentException", both, "cannot be provided together")
        words = "Either NextToken or StreamName should be provided."
        refused("InvalidArgumentException", lambda: kinesis.list_shards(), words)


@check("An iterator in double quotes works")
def _(kinesis):
    with stream(kinesis) as name:
        shard = put(kinesis, name, b"one")["ShardId"]
        place = iterator(kinesis, name, shard)
        equal(data_of(kinesis.get_records(ShardIterator=f'"{place}"')["Records"]), [b"one"])


@check("SequenceNumberForOrdering of the future is refused, a put's own is taken")
def _(kinesis):
    with stream(kinesis) as name:
        number = put(kinesis, name)["SequenceNumber"]
        put(kinesis, name, SequenceNumberForOrdering=number)
        # The creation of the shard stands in the bits from 148 on.
        future = str(int(number) + (10**9 << 148))
        refused(
            "InvalidArgumentException",
            lambda: put(kinesis, name, SequenceNumberForOrdering=future),
            f"ExclusiveMinimumSequenceNumber {future} used in PutRecord on stream {name}",
        )


@check("Tags take no tab, newline, semicolon or comma")
def _(kinesis):
    with stream(kinesis) as name:
        for text in ["a\tb", "a\nb", "a;b", "a,b"]:
            code = "InvalidArgumentException"
            refused(code, lambda: kinesis.add_tags_to_stream(StreamName=name, Tags={text: "v"}))
            refused(code, lambda: kinesis.add_tags_to_stream(StreamName=name, Tags={"k": text}))
            refused(code, lambda: kinesis.remove_tags_from_stream(StreamName=name, TagKeys=[text]))


@check("51 tags are over the stream's limit, not the call's")
def _(kinesis):
    with stream(kinesis) as name:
        tags = lambda count: {f"k{number}": "v" for number in range(count)}
        add = lambda count: kinesis.add_tags_to_stream(StreamName=name, Tags=tags(count))
        refused("InvalidArgumentException", lambda: add(51))
        refused("ValidationException", lambda: add(201))


@check("A closed shard is neither split nor merged, and ids are written in full")
def _(kinesis):
    with stream(kinesis, 2) as name:
        split(kinesis, name, shards_of(kinesis, name)[0])
        words = "has already been merged or split, and thus is not eligible for merging or splitting."
        again = lambda: kinesis.split_shard(
            StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey="1000"
        )
        refused("InvalidArgumentException", again, words)
        unknown = lambda: kinesis.split_shard(
            StreamName=name, ShardToSplit="shardId-77", NewStartingHashKey="1000"
        )
        refused("ResourceNotFoundException", unknown, "shardId-000000000077")


@check("An id that is no shard's is told before a stream that is not there")
def _(kinesis):
    for operation, members in [
        ("SplitShard", {"ShardToSplit": "ABKLFD8", "NewStartingHashKey": "1000"}),
        ("MergeShards", {"ShardToMerge": "0", "AdjacentShardToMerge": "ABKLFD8"}),
        ("GetShardIterator", {"ShardId": "ABKLFD8", "ShardIteratorType": "LATEST"}),
    ]:
        code, _, body = post(kinesis, operation, {"StreamName": "nowhere"} | members)
        equal((code, json.loads(body)["__type"]), (400, "ResourceNotFoundException"))
        assert b"Could not find shard ABKLFD8 in stream nowhere" in body, body


@check("Reading from a stream that is not there misses the shard")
def _(kinesis):
    place = lambda: kinesis.get_shard_iterator(
        StreamName="nowhere", ShardId="shardId-5", ShardIteratorType="LATEST"
    )
    words = "Shard shardId-000000000005 in stream nowhere under account"
    refused("ResourceNotFoundException", place, words, "does not exist")


@check("A consumer that is named twice must be the same")
def _(kinesis):
    with stream(kinesis) as name, stream(kinesis) as other:
        stream_arn, other_arn = arn_of(kinesis, name), arn_of(kinesis, other)
        made = kinesis.register_stream_consumer(StreamARN=stream_arn, ConsumerName="c1")
        arn = made["Consumer"]["ConsumerARN"]
        for more in [{"ConsumerName": "c2"}, {"StreamARN": other_arn}]:
            describe = lambda: kinesis.describe_stream_consumer(ConsumerARN=arn, **more)
            refused("InvalidArgumentException", describe)
            remove = lambda: kinesis.deregister_stream_consumer(ConsumerARN=arn, **more)
            refused("InvalidArgumentException", remove)
        kinesis.describe_stream_consumer(ConsumerARN=arn, StreamARN=stream_arn, ConsumerName="c1")


@check("A stream that places records itself takes and gives them without keys")
def _(kinesis):
    name = f"keyless-{uuid.uuid4().hex[:8]}"
    members = {"StreamName": name, "RecordDistributionStrategy": "AUTO"}
    equal(post(kinesis, "CreateStream", members)[0], 200)
    until_active(kinesis, name)
    code, _, body = post(kinesis, "PutRecord", {"StreamName": name, "Data": "eA=="})
    equal(code, 200)
    shard = json.loads(body)["ShardId"]
    place = iterator(kinesis, name, shard)
    code, _, body = post(kinesis, "GetRecords", {"ShardIterator": place})
    assert "PartitionKey" not in json.loads(body)["Records"][0], body
    kinesis.delete_stream(StreamName=name)


@check("From 4 shards to 3: 11 shards in all, and 6, 9 and 10 are open")
def _(kinesis):
    with stream(kinesis, 4) as name:
        kinesis.update_shard_count(StreamName=name, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
        until_active(kinesis, name)
        equal(len(shards_of(kinesis, name)), 11)
        equal([int(shard["ShardId"][8:]) for shard in open_shards(kinesis, name)], [6, 9, 10])


@check("A member of the wrong type is a SerializationException with a capital Message")
def _(kinesis):
    code, _, body = post(kinesis, "ListStreams", {"Limit": "three"})
    equal(code, 400)
    words = "class java.lang.String can not be converted to an Integer"
    equal(json.loads(body), {"__type": "SerializationException", "Message": words})
    _, _, body = post(kinesis, "PutRecords", {"StreamName": "s", "Records": [["eA==", "k"]]})
    words = "Start of list found where not expected"
    equal(json.loads(body), {"__type": "SerializationException", "Message": words})


@check("An unknown operation has no message")
def _(kinesis):
    code, _, body = post(kinesis, "MakeCoffee", {})
    equal((code, json.loads(body)), (400, {"__type": "UnknownOperationException"}))


@check("A browser may ask and read from any origin")
def _(kinesis):
    asked = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target",
    }
    code, headers, _ = exchange(kinesis, "OPTIONS", asked)
    equal(code, 200)
    equal(headers["access-control-allow-origin"], "*")
    equal(headers["access-control-max-age"], "172800")
    equal(headers["access-control-allow-headers"], "x-amz-target")
    equal(headers["access-control-allow-methods"], "POST")
    code, headers, _ = post(kinesis, "ListStreams", {}, Origin="https://example.com")
    equal((code, headers["access-control-allow-origin"]), (200, "*"))
    assert headers["access-control-expose-headers"], "nothing is exposed"


@check("GET, PUT and DELETE are denied in XML")
def _(kinesis):
    for method in ["GET", "PUT", "DELETE"]:
        code, _, body = exchange(kinesis, method, {})
        equal(code, 403)
        assert body.startswith(b"<AccessDeniedException>"), body


def main(arguments):
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    words = " ".join(arguments[1:])
    kinesis = connect(arguments[0])
    passed = failed = 0
    for statement, proof in STATEMENTS:
        if words not in statement:
            continue
        try:
            proof(kinesis)
        except Exception as error:  # Whatever goes wrong, the statement does not hold.
            failed += 1
            print(f"FAILED  {statement}\n        {type(error).__name__}: {error}", flush=True)
        else:
            passed += 1
            print(f"passed  {statement}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
