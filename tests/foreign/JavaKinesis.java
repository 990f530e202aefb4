// Creates, puts, gets and subscribes with the AWS SDK for Java 2, which speaks application/x-amz-cbor-1.1.
//
// Usage: java -cp 'jars/*' JavaKinesis.java http://127.0.0.1:4567
// Needs the jars of the SDK (kinesis, netty-nio-client and what they need); the Python package kclpy-ext holds
// them all. Prints one line per step; the exit status is 1 if one fails.

import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

public class JavaKinesis {
    static final String SHARD = "shardId-000000000000";
    static final int POLLS_MAX = 500;

    interface Step {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    final KinesisAsyncClient kinesis;
    final String stream = "check-" + System.nanoTime();
    // Long enough for Jackson to write the text in chunks.
    final String key = "\u4e2d".repeat(250);
    final byte[] data = new byte[200_000];
    int failed = 0;

    JavaKinesis(String endpoint) {
        new Random(1).nextBytes(data);
        var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
        kinesis = KinesisAsyncClient.builder()
            .endpointOverride(URI.create(endpoint))
            .region(Region.US_EAST_1)
            .credentialsProvider(credentials)
            .build();
    }

    void step(String statement, Step step) {
        try {
            step.run();
            System.out.println("passed  " + statement);
        } catch (Throwable error) {
            failed += 1;
            System.out.println("FAILED  " + statement + "\n        " + error);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void until(String what, Condition condition) throws Exception {
        for (int polls = 0; polls < POLLS_MAX; polls += 1) {
            if (condition.holds()) return;
            Thread.sleep(20);
        }
        throw new AssertionError("waited too long: " + what);
    }

    String arn() throws Exception {
        var answer = kinesis.describeStreamSummary(b -> b.streamName(stream)).get();
        return answer.streamDescriptionSummary().streamARN();
    }

    List<Record> read(ShardIteratorType kind, java.time.Instant time) throws Exception {
        var start = kinesis.getShardIterator(
            b -> b.streamName(stream).shardId(SHARD).shardIteratorType(kind).timestamp(time)).get();
        return kinesis.getRecords(b -> b.shardIterator(start.shardIterator())).get().records();
    }

    void checkRecords(List<Record> records) {
        check(records.size() == 10, records.size() + " records, not 10");
        for (var record : records) {
            check(Arrays.equals(record.data().asByteArray(), data), "other bytes");
            check(record.partitionKey().equals(key), "another key");
            long age = System.currentTimeMillis() - record.approximateArrivalTimestamp().toEpochMilli();
            check(Math.abs(age) < 60_000, "arrived " + age + " ms ago");
        }
    }

    void create() throws Exception {
        kinesis.createStream(b -> b.streamName(stream).shardCount(1)).get();
        until("the stream becomes ACTIVE", () -> {
            var answer = kinesis.describeStreamSummary(b -> b.streamName(stream)).get();
            return answer.streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE;
        });
    }

    void put() throws Exception {
        var entries = new ArrayList<PutRecordsRequestEntry>();
        for (int n = 0; n < 10; n += 1) {
            var bytes = SdkBytes.fromByteArray(data);
            entries.add(PutRecordsRequestEntry.builder().partitionKey(key).data(bytes).build());
        }
        var answer = kinesis.putRecords(b -> b.streamName(stream).records(entries)).get();
        check(answer.failedRecordCount() == 0, "some failed");
    }

    void get() throws Exception {
        var records = read(ShardIteratorType.TRIM_HORIZON, null);
        checkRecords(records);
        checkRecords(read(ShardIteratorType.AT_TIMESTAMP, records.get(0).approximateArrivalTimestamp()));
    }

    void unknown() throws Exception {
        try {
            var bytes = SdkBytes.fromUtf8String("x");
            kinesis.putRecord(b -> b.streamName("no-such-stream").partitionKey("k").data(bytes)).get();
        } catch (ExecutionException error) {
            check(error.getCause() instanceof ResourceNotFoundException, "" + error.getCause());
            return;
        }
        throw new AssertionError("it was taken");
    }

    void subscribe() throws Exception {
        var stream = arn();
        var consumer = kinesis.registerStreamConsumer(b -> b.streamARN(stream).consumerName("check")).get();
        var arn = consumer.consumer().consumerARN();
        until("the consumer becomes ACTIVE", () -> {
            var found = kinesis.describeStreamConsumer(b -> b.consumerARN(arn)).get();
            return found.consumerDescription().consumerStatus() == ConsumerStatus.ACTIVE;
        });
        var records = new CopyOnWriteArrayList<Record>();
        var errors = new CopyOnWriteArrayList<Throwable>();
        var handler = SubscribeToShardResponseHandler.builder()
            .onError(errors::add)
            .subscriber(event -> {
                if (event instanceof SubscribeToShardEvent some) records.addAll(some.records());
            })
            .build();
        kinesis.subscribeToShard(
            b -> b.consumerARN(arn).shardId(SHARD).startingPosition(p -> p.type("TRIM_HORIZON")), handler);
        until("10 records come: " + errors, () -> records.size() >= 10 || !errors.isEmpty());
        check(errors.isEmpty(), "" + errors);
        checkRecords(records);
    }

    public static void main(String[] arguments) {
        if (arguments.length != 1) {
            System.err.println("usage: java -cp 'jars/*' JavaKinesis.java ENDPOINT_URL");
            System.exit(2);
        }
        var java = new JavaKinesis(arguments[0]);
        java.step("a stream is created", java::create);
        java.step("many records are put", java::put);
        java.step("the records are read back, from the horizon and from their time", java::get);
        java.step("an unknown stream is an error of its own class", java::unknown);
        java.step("a consumer subscribes", java::subscribe);
        System.out.println((5 - java.failed) + " passed, " + java.failed + " failed");
        System.exit(java.failed == 0 ? 0 : 1);
    }
}
