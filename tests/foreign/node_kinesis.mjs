// Creates, puts, gets, reshards and subscribes with the AWS SDK for JavaScript against any Kinesis server.
//
// Usage: node node_kinesis.mjs http://127.0.0.1:4567
// Needs: npm install @aws-sdk/client-kinesis. Prints one line per step; the exit status is 1 if one fails.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
} from "@aws-sdk/client-kinesis";

const [endpoint] = process.argv.slice(2);
if (!endpoint) {
  console.error("usage: node node_kinesis.mjs ENDPOINT_URL");
  process.exit(2);
}

const POLLS_MAX = 500;
const StreamName = `check-${randomUUID().slice(0, 12)}`;
const kinesis = new KinesisClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
});
const call = (command) => kinesis.send(command);
const text = (record) => Buffer.from(record.Data).toString();

async function until(what, condition) {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    if (await condition()) return;
    await sleep(20);
  }
  throw new Error(`waited too long: ${what}`);
}

const active = () =>
  until("the stream becomes ACTIVE", async () => {
    const answer = await call(new DescribeStreamSummaryCommand({ StreamName }));
    return answer.StreamDescriptionSummary.StreamStatus === "ACTIVE";
  });

async function read(ShardId, wanted) {
  const start = { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" };
  let { ShardIterator } = await call(new GetShardIteratorCommand(start));
  const records = [];
  for (let polls = 0; ShardIterator && records.length < wanted && polls < POLLS_MAX; polls += 1) {
    const page = await call(new GetRecordsCommand({ ShardIterator }));
    records.push(...page.Records);
    ShardIterator = page.NextShardIterator;
  }
  return { records, ended: !ShardIterator };
}

async function subscribe(ConsumerARN, ShardId, wanted) {
  const StartingPosition = { Type: "TRIM_HORIZON" };
  const answer = await call(new SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition }));
  const records = [];
  for await (const { SubscribeToShardEvent: event } of answer.EventStream) {
    records.push(...event.Records);
    if (records.length >= wanted) break;
  }
  return records;
}

const steps = {
  "a stream is created": async () => {
    await call(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
    await active();
  },
  "one record and many are put": async () => {
    const one = { StreamName, PartitionKey: "key", Data: Buffer.from("0") };
    assert.equal((await call(new PutRecordCommand(one))).ShardId, "shardId-000000000000");
    const Records = Array.from({ length: 99 }, (_, n) => ({
      PartitionKey: "key",
      Data: Buffer.from(String(n + 1)),
    }));
    assert.equal((await call(new PutRecordsCommand({ StreamName, Records }))).FailedRecordCount, 0);
  },
  "the records are read back": async () => {
    const { records } = await read("shardId-000000000000", 100);
    const numbers = records.map(text).map(Number).sort((a, b) => a - b);
    assert.deepEqual(numbers, Array.from({ length: 100 }, (_, n) => n));
    assert.ok(Math.abs(Date.now() - records[0].ApproximateArrivalTimestamp) < 60_000);
  },
  "an unknown stream is an error of its own class": async () => {
    const unknown = { StreamName: "no-such-stream", PartitionKey: "k", Data: Buffer.from("x") };
    await assert.rejects(call(new PutRecordCommand(unknown)), { name: "ResourceNotFoundException" });
  },
  "a shard is split": async () => {
    const NewStartingHashKey = (2n ** 127n).toString();
    const ShardToSplit = "shardId-000000000000";
    await call(new SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey }));
    await active();
    const { Shards } = await call(new ListShardsCommand({ StreamName }));
    const children = Shards.filter((shard) => shard.ParentShardId === ShardToSplit);
    assert.equal(children.length, 2);
    assert.ok((await read(ShardToSplit, 101)).ended, "the parent has no end");
  },
  "a consumer subscribes": async () => {
    const summary = await call(new DescribeStreamSummaryCommand({ StreamName }));
    const { StreamARN } = summary.StreamDescriptionSummary;
    const { Consumer } = await call(
      new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "check" }),
    );
    const { ConsumerARN } = Consumer;
    await until("the consumer becomes ACTIVE", async () => {
      const found = await call(new DescribeStreamConsumerCommand({ ConsumerARN }));
      return found.ConsumerDescription.ConsumerStatus === "ACTIVE";
    });
    const records = await subscribe(ConsumerARN, "shardId-000000000000", 100);
    assert.equal(records.length, 100);
  },
  "an iterator in double quotes works": async () => {
    const ShardId = "shardId-000000000000";
    const start = { StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" };
    const { ShardIterator } = await call(new GetShardIteratorCommand(start));
    const page = await call(new GetRecordsCommand({ ShardIterator: `"${ShardIterator}"` }));
    assert.equal(page.Records.length, 100);
  },
  "a closed shard is not split again": async () => {
    const again = { StreamName, ShardToSplit: "shardId-0", NewStartingHashKey: "1000" };
    await assert.rejects(call(new SplitShardCommand(again)), {
      name: "InvalidArgumentException",
      message: /^Shard shardId-000000000000 in stream .* has already been merged or split/,
    });
  },
  "NextToken and StreamARN exclude each other": async () => {
    const summary = await call(new DescribeStreamSummaryCommand({ StreamName }));
    const { StreamARN } = summary.StreamDescriptionSummary;
    const { NextToken } = await call(new ListShardsCommand({ StreamARN, MaxResults: 1 }));
    await assert.rejects(call(new ListShardsCommand({ StreamARN, NextToken })), {
      name: "InvalidArgumentException",
    });
  },
  "a stream of a name alone is on demand": async () => {
    const named = { StreamName: `${StreamName}-on-demand` };
    await call(new CreateStreamCommand(named));
    const summary = await call(new DescribeStreamSummaryCommand(named));
    assert.equal(summary.StreamDescriptionSummary.StreamModeDetails.StreamMode, "ON_DEMAND");
    await call(new DeleteStreamCommand(named));
  },
  "a browser may ask from any origin": async () => {
    const headers = { "Access-Control-Request-Method": "POST", Origin: "https://example.com" };
    const answer = await fetch(endpoint, { method: "OPTIONS", headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    assert.equal(answer.headers.get("access-control-allow-methods"), "POST");
  },
  "the stream is deleted": async () => {
    await call(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  },
};

let failed = 0;
for (const [statement, step] of Object.entries(steps)) {
  try {
    await step();
    console.log(`passed  ${statement}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${statement}\n        ${error.name}: ${error.message}`);
  }
}
console.log(`${Object.keys(steps).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
