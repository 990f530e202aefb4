"""Objects that the program delivers, to a disk and to an S3 that others wrote, read by libraries that others wrote.

    objects.py PROGRAM FOLDER WEED

The S3 is SeaweedFS, behind a proxy that answers every tenth request with 503.
"""

import gzip
import http.client
import http.server
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import duckdb
import msgpack
import snappy
import zstandard

PROGRAM, FOLDER, WEED = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), sys.argv[3]
RECORDS = 20_000
PATIENCE_SECONDS = 120
BUCKET = "delivered"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ports_of_weed(names):
    """Ports for SeaweedFS's servers. Each server takes the port that is 10,000 higher, too."""
    ports = {}
    while len(ports) < len(names):
        port = free_port()
        taken = [other + more for other in ports.values() for more in (0, 10_000)]
        if port + 10_000 < 65_536 and not {port, port + 10_000} & set(taken) and is_free(port + 10_000):
            ports[names[len(ports)]] = port
    return ports


def is_free(port):
    return bool(socket.socket().connect_ex(("127.0.0.1", port)))


def wait_for(what, look):
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    for log in FOLDER.glob("*.log"):
        print(log.name, log.read_text(errors="replace")[-4_000:], sep=":\n", file=sys.stderr)
    sys.exit(f"no {what} after {PATIENCE_SECONDS} s")


class EveryTenthFails(http.server.BaseHTTPRequestHandler):
    """Passes requests on; the signature covers the host, so that one is kept."""

    protocol_version = "HTTP/1.1"
    upstream, count, failed, lock = None, 0, 0, threading.Lock()

    def any(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        kind = type(self)
        with kind.lock:
            kind.count += 1
            fails = kind.count % 10 == 0
            kind.failed += fails
        if fails:
            self.answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
            return
        connection = http.client.HTTPConnection("127.0.0.1", kind.upstream, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        headers = {name: value for name, value in response.getheaders()
                   if name.lower() not in ("transfer-encoding", "connection", "content-length")}
        length = response.getheader("content-length")
        self.answer(response.status, headers, response.read(), length)
        connection.close()

    def answer(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = any

    def log_message(self, *_):
        pass


def hadoop_blocks(data):
    out, at = b"", 0
    while at < len(data):
        raw, packed = int.from_bytes(data[at:at + 4], "big"), int.from_bytes(data[at + 4:at + 8], "big")
        block = snappy.uncompress(data[at + 8:at + 8 + packed])
        assert len(block) == raw
        out, at = out + block, at + 8 + packed
    return out


def unzstd(data):
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        return reader.read()


def check(numbers, what):
    assert sorted(numbers) == list(range(RECORDS)), f"{what}: {len(numbers)} records"
    print(f"  {what}: all {RECORDS} records once")


def lines(texts):
    return [json.loads(line)["n"] for text in texts for line in text.decode().splitlines()]


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    children = []
    try:
        run(children)
    finally:
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()


def run(children):
    port = free_port()
    kinesis = f"127.0.0.1:{port}"
    children.append(subprocess.Popen([PROGRAM, "local", "--listen", kinesis, "--stream", "s=2"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    env = dict(os.environ, AWS_ENDPOINT_URL_KINESIS=f"http://{kinesis}", AWS_REGION="us-east-1",
               AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="localsecret")
    wait_for("Kinesis", lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
    rows = "".join(json.dumps({"n": number, "text": f"zeile {number} " * (number % 9)}) + "\n"
                   for number in range(RECORDS))
    subprocess.run([PROGRAM, "put", "-s", "s", "--aggregate", "-q"], input=rows.encode(), env=env, check=True)

    def deliver(to, *options):
        subprocess.run([PROGRAM, "deliver", "-s", "s", "--once", "--to", to, "--prefix", "a/!{timestamp:yyyy}/",
                        "-q", *options], env=env, check=True, timeout=PATIENCE_SECONDS)

    def files(name, *options):
        folder = FOLDER / name
        deliver(str(folder), "--buffer", "64KiB,60s", *options)
        return [path for path in sorted(folder.rglob("*")) if path.is_file()]

    def read(name, *options):
        return [path.read_bytes() for path in files(name, *options)]

    check(lines(read("lines")), "lines")
    check(lines(map(gzip.decompress, read("gzip", "--compression", "gzip"))), "Python's gzip")
    paths = files("gzip")  # The second run finds the objects of the first, and adds the plain ones.
    gzipped = [str(path) for path in paths if path.suffix == ".gz"]
    out = subprocess.run(["gzip", "-dc", *gzipped], capture_output=True, check=True).stdout
    check(lines([out]), "gzip -dc")
    rows = duckdb.sql(f"select n from read_json({gzipped!r}, format='newline_delimited')").fetchall()
    check([n for (n,) in rows], "DuckDB, gzip")
    zst = files("zstd", "--compression", "zstd")
    check(lines(unzstd(path.read_bytes()) for path in zst), "Python's zstandard")
    if shutil.which("zstd") and shutil.which("jq"):
        out = subprocess.run(f"zstd -dc {' '.join(map(str, zst))} | jq .n", shell=True, capture_output=True, check=True)
        check([int(n) for n in out.stdout.split()], "zstd -dc | jq")
    rows = duckdb.sql(f"select n from read_json({[str(path) for path in zst]!r})").fetchall()
    check([n for (n,) in rows], "DuckDB, zstd")
    framed = read("snappy", "--compression", "snappy")
    check(lines(snappy.StreamDecompressor().decompress(data) for data in framed), "python-snappy, framing")
    check(lines(map(hadoop_blocks, read("hadoop", "--compression", "hadoop-snappy"))), "python-snappy, Hadoop")
    maps = [record for data in read("tri", "--format", "tri")
            for record in msgpack.Unpacker(io.BytesIO(snappy.StreamDecompressor().decompress(data)), raw=False)]
    check([record["n"] for record in maps], "python-snappy and msgpack, Triton")

    over_s3(children, env, deliver)


def over_s3(children, env, deliver):
    ports = ports_of_weed(["s3", "master", "volume", "filer", "admin", "webdav"])
    (FOLDER / "weed").mkdir()
    options = [f"-{name}.port={port}" for name, port in ports.items()]
    weed_env = dict(os.environ, AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="localsecret", S3_BUCKET=BUCKET)
    log = open(FOLDER / "weed.log", "wb")
    children.append(subprocess.Popen([WEED, "mini", f"-dir={FOLDER / 'weed'}", "-ip=127.0.0.1", *options],
                                     env=weed_env, stdout=log, stderr=log))
    EveryTenthFails.upstream = ports["s3"]
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), EveryTenthFails)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{proxy.server_port}"
    env.update(AWS_ENDPOINT_URL_S3=endpoint, AWS_ALLOW_HTTP="true")
    wait_for("S3", lambda: not socket.socket().connect_ex(("127.0.0.1", ports["s3"])))
    time.sleep(3)

    import boto3
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{ports['s3']}", region_name="us-east-1",
                          aws_access_key_id="local", aws_secret_access_key="localsecret")
    names = lambda: [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if BUCKET not in names():
        client.create_bucket(Bucket=BUCKET)
    for _ in range(2):  # The second run finds the objects of the first.
        deliver(f"s3://{BUCKET}/folder", "--compression", "gzip", "--buffer", "64KiB,60s")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    assert keys and all(key.startswith("folder/a/20") for key in keys), keys
    bodies = [client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    check(lines(map(gzip.decompress, bodies)), f"SeaweedFS, {len(keys)} objects")
    assert EveryTenthFails.failed > 0
    print(f"  {EveryTenthFails.failed} of {EveryTenthFails.count} requests were failed on the way")


main()
