#!/usr/bin/env python3
"""Records put to Firehose by the library, read back from where another one's Firehose delivers them.

    firehose_moto.py PROGRAM    PROGRAM is `cargo build -p kinesis-pipeline-tests --example firehose_put`

Needs `pip install 'moto[server]' boto3` for this Python. It starts moto's server on a port of its own, with a bucket and a
Firehose stream that delivers there, puts 1,000 records by the stream's name and 1,000 by its ARN, and counts them in the
bucket: each is there once, with its new line, and no request had more than 500. Moto knows no limits and writes an object
for each request. Ends with 1 if a rule does not hold.
"""

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request

import boto3

NAME, BUCKET, EACH = "clicks", "delivered", 1_000
REQUEST_RECORDS_MAX = 500
START_SECONDS_MAX = 60
program = sys.argv[1]

server = subprocess.Popen(
    [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
)


def port():
    """The port that the server prints once it listens."""
    for line in server.stdout:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found:
            # A server whose output nobody reads stands still once the pipe is full.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            return found[1]
    sys.exit("moto's server did not start")


def main():
    url = f"http://127.0.0.1:{port()}"
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=1).read()
            break
        except OSError:
            time.sleep(0.1)
    keys = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }
    session = boto3.Session("id", "secret", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=url)
    s3.create_bucket(Bucket=BUCKET)
    role = "arn:aws:iam::123456789012:role/firehose"
    destination = {"RoleARN": role, "BucketARN": f"arn:aws:s3:::{BUCKET}"}
    firehose = session.client("firehose", endpoint_url=url)
    made = firehose.create_delivery_stream(
        DeliveryStreamName=NAME, ExtendedS3DestinationConfiguration=destination
    )
    # Of the ARN alone the region is used: another one in the environment shows that.
    other = keys | {"AWS_REGION": "eu-central-1"}
    for stream, first, environment in (
        (NAME, 0, keys),
        (made["DeliveryStreamARN"], EACH, other),
    ):
        put = subprocess.run(
            [program, stream, str(first), str(EACH)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if put.returncode or put.stdout.strip() != str(EACH):
            sys.exit(f"{stream}: {put.stdout}{put.stderr}")
    lines, largest, objects = [], 0, 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for found in page.get("Contents", []):
            body = s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read().decode()
            if not body.endswith("\n"):
                sys.exit(f"{found['Key']} does not end with a new line")
            lines += body.splitlines()
            largest, objects = max(largest, body.count("\n")), objects + 1
    if sorted(lines) != [f"record {number:06}" for number in range(2 * EACH)]:
        sys.exit(f"{len(lines)} records in the bucket, {len(set(lines))} of them different")
    if largest > REQUEST_RECORDS_MAX:
        sys.exit(f"{largest} records in one request")
    print(f"{len(lines)} records, each once, in {objects} requests of at most {largest}")


try:
    main()
finally:
    server.terminate()
    server.wait(timeout=30)
