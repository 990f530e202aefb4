#!/usr/bin/env python3
"""A fleet of three workers on one lease table: two of this library and one of others.

    mixed_fleet.py PROGRAM WORKER FOLDER [--records N] [--seconds MAX] [--foreign kcl-rs | --foreign java --jars DIR]

PROGRAM is the program `kinesis-pipeline`, WORKER the example `fleet_worker`; FOLDER takes the logs and is
emptied first. The other worker is kcl-rs, which needs `pip install kcl-rs==0.1.4` for this Python, or the Java KCL
3.1.3 in its compatible mode, by hand, with OpenJDK 17 and the jars of a Python package:

    pip download --no-deps kclpy-ext==3.1.3.post4 && unzip -j kclpy_ext-*.whl '*.jar' -d jars
    mixed_fleet.py target/debug/kinesis-pipeline target/debug/examples/fleet_worker /tmp/fleet \\
        --foreign java --jars jars --records 100000 --seconds 500

With `--mode 3x` a leader of KCL 3 shares the leases out, to two workers of ours and to two of its own, by the throughput
that our workers write in their rows. Its rounds are slow: a dead worker is noticed after up to two minutes. With 20,000
records all are processed before a worker of ours begins at a checkpoint of Java's inside an aggregate, which the last rule
then misses; all others hold.

Records are put in aggregates while the workers are started, killed one after the other and replaced, and a shard is
split. A worker is killed once it has made checkpoints inside aggregates, so that the next one begins there. Then the
logs are held against these rules:

- every record is processed;
- a worker begins right behind the checkpoint of the one before, inside an aggregate too, in both directions;
- the records of a shard come to a worker in order and without a hole;
- once a worker has taken a shard from one that was alive, that one reads it no more than the time of a renewal.

Ends with 1 if one does not hold, and within the given time whatever happens.
"""

import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

STREAM, APP, SHARDS = "mixed", "mixed-app", 8
FAILOVER = 6
# A worker of KCL learns at its next renewal, a third of its 10 s, that its lease is gone; ours within 0.7 x FAILOVER.
OVERLAP_MAX = 6.0
KEYS = 97

options = argparse.ArgumentParser()
options.add_argument("program")
options.add_argument("worker")
options.add_argument("folder", type=pathlib.Path)
options.add_argument("--records", type=int, default=20_000)
options.add_argument("--seconds", type=int, default=170)
options.add_argument("--foreign", choices=["kcl-rs", "java"], default="kcl-rs")
options.add_argument("--jars", type=pathlib.Path)
options.add_argument("--mode", choices=["2x", "3x"], default="2x", help="of KCL in Java")
options = options.parse_args()
if options.foreign == "java" and not options.jars:
    sys.exit("--foreign java needs --jars")

HERE = pathlib.Path(__file__).resolve().parent
begun = time.time()
deadline = begun + options.seconds
processes = {}
environment = dict(
    os.environ,
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_ENDPOINT_URL_CLOUDWATCH="http://127.0.0.1:9",
    RUST_LOG=os.environ.get("RUST_LOG", "warn,kinesis_pipeline=info"),
)


def say(text):
    print(f"{time.time() - begun:6.1f} s  {text}", flush=True)


def left():
    seconds = deadline - time.time()
    if seconds <= 0:
        raise TimeoutError(f"not done within {options.seconds} s")
    return seconds


def program(*words, **more):
    ran = subprocess.run(
        [options.program, *words], env=environment, capture_output=True, text=True, timeout=left(), **more
    )
    if ran.returncode != 0:
        raise RuntimeError(f"{words}: {ran.stderr}")
    return ran.stdout


def spawn(name, command, env=environment):
    out, err = open(options.folder / f"{name}.jsonl", "ab"), open(options.folder / f"{name}.log", "ab")
    # A group of its own: what it starts ends with it.
    processes[name] = subprocess.Popen(command, env=env, stdout=out, stderr=err, start_new_session=True)


def ours(name):
    spawn(name, [options.worker, STREAM, APP, name, str(FAILOVER)])


def foreign(name):
    if options.foreign == "java":
        java(name)
    else:
        spawn(name, [sys.executable, HERE / "kcl_rs_worker.py", STREAM, APP, name])


def java(name):
    modes = {"2x": "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X", "3x": "CLIENT_VERSION_CONFIG_3X"}
    settings = {
        "executableName": HERE / "java_kcl_processor.py",
        "processingLanguage": "python/3",
        "applicationName": APP,
        "streamName": STREAM,
        "workerId": name,
        "awsCredentialsProvider": "EnvironmentVariableCredentialsProvider",
        "regionName": "us-east-1",
        "kinesisEndpoint": environment["AWS_ENDPOINT_URL_KINESIS"],
        "dynamoDBEndpoint": environment["AWS_ENDPOINT_URL_DYNAMODB"],
        "cloudWatchClient.endpointOverride": environment["AWS_ENDPOINT_URL_CLOUDWATCH"],
        "metricsLevel": "NONE",
        "retrievalMode": "POLLING",
        "initialPositionInStream": "TRIM_HORIZON",
        "clientVersionConfig": modes[options.mode],
        "workerMetricsReporterFreqInMillis": 5000,
        "disableWorkerMetrics": "true",
        "failoverTimeMillis": FAILOVER * 1000,
        "shardSyncIntervalMillis": 5000,
        "parentShardPollIntervalMillis": 1000,
        "idleTimeBetweenReadsInMillis": 250,
        "maxRecords": 100,
        "maxActiveThreads": 16,
        "leaseTableDeletionProtectionEnabled": "false",
        "leaseTablePitrEnabled": "false",
        "shutdownGraceMillis": 10000,
    }
    properties = options.folder / f"{name}.properties"
    properties.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    main = "software.amazon.kinesis.multilang.MultiLangDaemon"
    command = ["java", "-Xmx256m", "-cp", f"{options.jars}/*", main, "--properties-file", properties]
    # The daemon's own lines go to standard output: its processors write to a file of their own.
    spawn(name, command, dict(environment, TELL_TO=str(options.folder / f"{name}.told.jsonl"), WORKER=name))


def kill(name):
    os.killpg(processes[name].pid, signal.SIGKILL)
    processes[name].wait(timeout=left())
    say(f"{name} was killed")
    return time.time()


def put(count):
    """Puts the next records."""
    first = len(stored)
    lines = "".join(json.dumps({"key": f"k{n % KEYS}", "n": n}) + "\n" for n in range(first, first + count))
    told = program("put", "-s", STREAM, "--format", "json", "--key", "key", "--aggregate", "--receipts", input=lines)
    stored.extend(json.loads(line) for line in told.splitlines())


def events():
    """All that the workers told, in the order of time. The last line of one that was killed may be cut off."""
    for file in options.folder.glob("*.jsonl"):
        with open(file, "rb") as lines:
            lines.seek(read_to.get(file, 0))
            new = lines.read()
        complete = new.rfind(b"\n") + 1
        read_to[file] = read_to.get(file, 0) + complete
        for line in new[:complete].split(b"\n"):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "ev" in event:
                all_told.append(event)
    # Nearly sorted, which is fast.
    all_told.sort(key=lambda event: event["t"])
    return all_told


def numbers(found):
    return {json.loads(event["data"])["n"] for event in found if event["ev"] == "record"}


def holders(found):
    """Who reads which shard, as far as was told."""
    holds = {}
    for event in found:
        if event["ev"] == "start":
            holds[event["shard"]] = event["w"]
        elif event["ev"] in ("lost", "ended", "left") and holds.get(event["shard"]) == event["w"]:
            del holds[event["shard"]]
    return holds


def wait(what, is_so, seconds=60, fed=0):
    """Waits until it is so; meanwhile puts so many records at a time."""
    until = min(time.time() + seconds, deadline)
    since = time.time()
    while time.time() < until:
        found = events()
        if is_so(found):
            say(f"{what}: after {time.time() - since:.1f} s: {dict(collections.Counter(holders(found).values()))}")
            return
        for name, process in processes.items():
            if name not in gone and process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")
        if fed:
            put(fed)
        time.sleep(0.5)
    raise TimeoutError(f"{what}: not within {seconds} s; {holders(events())}")


def reads(name, found):
    """Whether a worker has had records."""
    return any(event["w"] == name and event["ev"] == "record" for event in found)


stored, gone = [], {"local"}
all_told, read_to = [], {}
# The records that are put at a time while a worker is to make checkpoints.
FEED = 8 * 25


def run():
    options.folder.mkdir(parents=True, exist_ok=True)
    for file in options.folder.glob("*"):
        file.unlink()
    local = [options.program, "local", "--listen", "127.0.0.1:0", "--stream", f"{STREAM}={SHARDS}"]
    spawn("local", [*local, "--dynamodb", "127.0.0.1:0"])
    while not {"AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_DYNAMODB"} <= environment.keys():
        for line in (options.folder / "local.jsonl").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            if name.startswith("AWS_ENDPOINT_URL_"):
                environment.setdefault(name, value)
        time.sleep(0.1)
        left()
    say("the servers listen")
    part = options.records // 8
    put(part)
    # The rows are there when the foreign worker looks: it begins within seconds then.
    ours("rust-1")
    wait("one of ours reads all", lambda found: len(holders(found)) == SHARDS)
    # Whatever shard another worker takes, it begins inside an aggregate.
    wait("it is inside an aggregate of each", lambda found: len(inside("rust-1", found)) == SHARDS, fed=FEED)
    foreign("other-1")
    if options.mode == "3x":
        foreign("other-0")
    ours("rust-2")
    put(part)
    wait("the foreign worker reads", lambda found: reads("other-1", found) and reads("rust-2", found), 120, fed=FEED)
    wait("it is inside aggregates", lambda found: inside("other-1", found), fed=FEED)

    gone.add("other-1")
    shards = [shard for shard, worker in holders(events()).items() if worker == "other-1"]
    at = kill("other-1")
    put(part)
    wait("others took over", lambda found: all(began(shard, heirs(), at, found) for shard in shards), takeover())

    foreign("other-2")
    wait("a foreign worker is back", lambda found: reads("other-2", found), 120, fed=FEED)
    gone.add("rust-1")
    shards = [shard for shard, worker in holders(events()).items() if worker == "rust-1"]
    at = kill("rust-1")
    put(part)
    wait("others took over", lambda found: all(began(shard, "", at, found) for shard in shards), takeover())

    listed = [json.loads(line) for line in program("shards", "-s", STREAM, "-o", "json").splitlines()]
    program("split", "-s", STREAM, listed[0]["shard_id"])
    say(f"{listed[0]['shard_id']} was split")
    while len(stored) < options.records:
        put(min(10_000, options.records - len(stored)))
    total = set(range(len(stored)))
    wait("all is processed", lambda found: numbers(found) >= total, options.seconds)


def heirs():
    """The workers that are alive when the first foreign one was killed."""
    return "rust" if options.mode == "2x" else ""


def takeover():
    """The longest time until a dead worker's shards are read: a leader's is 120 s, and some rounds."""
    return 60 if options.mode == "2x" else 200


def inside(name, found):
    """The shards that a worker holds and whose newest checkpoint it made itself, inside an aggregate."""
    newest = {event["shard"]: event for event in found if event["ev"] == "made"}
    holds = {shard for shard, worker in holders(found).items() if worker == name}
    return {shard for shard in holds if shard in newest and newest[shard]["w"] == name and newest[shard]["sub"] > 0}


def began(shard, worker, after, found):
    return any(
        event["ev"] == "start" and event["shard"] == shard and event["w"].startswith(worker) and event["t"] > after
        for event in found
    )


def place(event):
    return None if event["seq"] is None else (int(event["seq"]), int(event["sub"] or 0))


def check():
    """Returns the rules that do not hold."""
    found, wrong = events(), []
    order = collections.defaultdict(list)
    for receipt in stored:
        order[receipt["shard_id"]].append((int(receipt["sequence_number"]), int(receipt["sub_sequence_number"] or 0)))
    for shard in order.values():
        shard.sort()
    missing = set(range(len(stored))) - numbers(found)
    if missing:
        wrong.append(f"{len(missing)} records were not processed, among them {sorted(missing)[:5]}")
    starts = collections.Counter()
    for shard in sorted(order):
        told = [event for event in found if event["shard"] == shard]
        wrong += check_runs(shard, told, order[shard])
        wrong += check_starts(shard, told, starts)
        wrong += check_overlap(shard, told)
    for pair in (("rust", "other"), ("other", "rust")):
        if not starts[pair]:
            wrong.append(f"no start of {pair[1]} at a checkpoint inside an aggregate that {pair[0]} had made")
    say(f"starts inside an aggregate, by who made the checkpoint and who goes on: {dict(starts)}")
    return wrong


def check_runs(shard, told, order):
    """Every run of a worker is the records of the shard from its checkpoint on, each once."""
    wrong, index = [], {position: n for n, position in enumerate(order)}
    expected = {}
    for event in told:
        worker = event["w"]
        if event["ev"] == "start":
            begin = place(event)
            # The record behind the checkpoint: one that is no record's place lies behind its whole aggregate.
            expected[worker] = sum(position <= begin for position in order) if begin else 0
        elif event["ev"] == "record":
            now = index.get(place(event))
            if now is None:
                wrong.append(f"{worker} had a record of {shard} that was not put: {event}")
            elif now != expected.get(worker):
                wrong.append(f"{worker} had record {now} of {shard} where {expected.get(worker)} comes next")
                expected[worker] = now + 1
            else:
                expected[worker] = now + 1
    return wrong


def check_starts(shard, told, starts):
    """Every start is at a checkpoint that was made before."""
    wrong, made = [], {}
    for event in told:
        if event["ev"] == "checkpoint":
            made[place(event)] = event["w"]
        if event["ev"] == "start" and place(event):
            by = made.get(place(event))
            if by is None:
                wrong.append(f"{event['w']} begins {shard} at {place(event)}, where no checkpoint was made")
            elif place(event)[1] > 0:
                starts[by.split("-")[0], event["w"].split("-")[0]] += 1
    return wrong


def check_overlap(shard, told):
    wrong, holder, since = [], None, 0.0
    for event in told:
        if event["ev"] == "start":
            holder, since = event["w"], event["t"]
        elif event["ev"] == "record" and event["w"] != holder and event["t"] > since + OVERLAP_MAX:
            wrong.append(f"{event['w']} read {shard} {event['t'] - since:.1f} s after {holder} had begun")
    return wrong[:1]


def main():
    try:
        run()
        wrong = check()
    except (TimeoutError, RuntimeError, subprocess.TimeoutExpired) as error:
        wrong = [str(error)]
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    for rule in wrong[:20]:
        print(f"WRONG: {rule}")
    if not wrong:
        say(f"{len(stored)} records: all rules hold")
    return 1 if wrong else 0


sys.exit(main())
