"""The load generator of bench/peers/librdkafka.ts: librdkafka through its Python package, driven by lines of JSON.

The values are those of bench/limits/pattern.ts, so that what is read back adds up to the same for every system.
"""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

CHUNK_BYTES = 2**20
FIRST_BYTES_MODULUS = 65_521
REPLICAS = 3
DEADLINE_S = 60
WARM_UP_RECORDS = 500
OPENING_RECORDS = 1


def patterned_bytes(count):
    state, result = 0x2545F491, bytearray(count)
    for index in range(count):
        state = (state * 1_664_525 & 0xFFFFFFFF) + 1_013_904_223
        result[index] = (state & 0xFFFFFFFF) >> 24
    return bytes(result)


class Load:
    def open(self, argument):
        self.bootstrap = argument["bootstrap"]
        self.configs = {key: str(value) for key, value in argument["configs"].items()}
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
        self.source = patterned_bytes(CHUNK_BYTES)
        self.failures = []

    def prepare(self, topic):
        self.topic = topic
        new = NewTopic(topic, num_partitions=1, replication_factor=REPLICAS, config=self.configs)
        self.admin.create_topics([new], operation_timeout=30)[topic].result(DEADLINE_S)
        end = time.monotonic() + DEADLINE_S
        while not self.is_in_sync():
            if time.monotonic() > end:
                raise RuntimeError(f"replicas of {topic} are not in sync, wanted {REPLICAS}")
            time.sleep(0.02)
        # Its connections and its producer id are not what is measured: a record without a value opens them.
        self.opened = self.producer(**{"delivery.report.only.error": True})
        self.opened.produce(topic, None, partition=0, on_delivery=self.on_failed)
        self.opened.flush(DEADLINE_S)

    def is_in_sync(self):
        topic = self.admin.list_topics(self.topic, timeout=10).topics.get(self.topic)
        return topic is not None and 0 in topic.partitions and len(topic.partitions[0].isrs) == REPLICAS

    def producer(self, **more):
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "batch.size": 2**20,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 2**16,
                **more,
            }
        )

    def on_failed(self, error, _message):
        if error is not None:
            self.failures.append(str(error))

    def produce(self, work):
        size, records = work["recordBytes"], work["records"]
        count = CHUNK_BYTES // size
        values = [self.source[index * size : (index + 1) * size] for index in range(count)]
        producer = self.opened
        begin, cpu = time.perf_counter(), time.process_time()
        send, topic = producer.produce, self.topic
        for _ in range(records // count):
            for value in values:
                try:
                    send(topic, value, partition=0, on_delivery=self.on_failed)
                except BufferError:  # the queue is full: wait until some are acknowledged
                    while len(producer) > 1000:
                        producer.poll(0.001)
                    send(topic, value, partition=0, on_delivery=self.on_failed)
        left = producer.flush(DEADLINE_S)
        result = timed(begin, cpu)
        self.require_stored(records, left)
        return result

    def require_stored(self, records, left):
        consumer = self.consumer()
        _, end = consumer.get_watermark_offsets(TopicPartition(self.topic, 0), timeout=10)
        consumer.close()
        if self.failures or left or end != OPENING_RECORDS + records or not self.is_in_sync():
            raise RuntimeError(f"{end} records stored, {left} left, failures {self.failures[:3]}, wanted {records}")

    def consumer(self):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
                "check.crcs": True,
            }
        )

    def consume(self, work):
        wanted = work["records"]
        consumer = self.consumer()
        consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
        records = size = first = 0
        end = time.monotonic() + DEADLINE_S
        # The clock starts once the opening record is here: connecting is not what is measured.
        while not consumer.consume(OPENING_RECORDS, timeout=0.01):
            if time.monotonic() > end:
                raise RuntimeError("nothing came")
        begin, cpu = time.perf_counter(), time.process_time()
        while records < wanted:
            if time.monotonic() > end:
                raise RuntimeError(f"{records} records came, wanted {wanted}")
            for message in consumer.consume(1000, timeout=0.01):
                if message.error():
                    raise RuntimeError(str(message.error()))
                value = message.value()
                size += len(value)
                first += value[0]
                records += 1
        result = timed(begin, cpu)
        consumer.close()
        return {**result, "records": records, "bytes": size, "firstBytes": first % FIRST_BYTES_MODULUS}

    def open_loop(self, work):
        producer = self.producer(**{"linger.ms": 0})
        producer.list_topics(self.topic, timeout=10)
        self.pace(producer, {**work, "records": WARM_UP_RECORDS})
        result = self.pace(producer, work)
        self.require_stored(WARM_UP_RECORDS + work["records"], 0)
        return result

    def pace(self, producer, work):
        """Records are due at fixed times, whatever became of those before; the process never sleeps."""
        records, value = work["records"], self.source[: work["recordBytes"]]
        step = 1_000_000_000 // work["ratePerSecond"]
        latency, lateness = [], []
        start, cpu, now = time.perf_counter_ns() + 20_000_000, time.process_time(), time.perf_counter_ns
        begin = time.perf_counter()

        def on_delivery(due):
            def delivered(error, _message):
                latency.append(now() - due)
                self.on_failed(error, None)

            return delivered

        sent, end = 0, time.monotonic() + DEADLINE_S
        while len(latency) < records:
            while sent < records and start + sent * step <= now():
                due = start + sent * step
                lateness.append(now() - due)
                producer.produce(self.topic, value, partition=0, on_delivery=on_delivery(due))
                sent += 1
            producer.poll(0)
            if time.monotonic() > end:
                raise RuntimeError(f"{len(latency)} records acknowledged, wanted {records}")
        return {**timed(begin, cpu), "latencyNs": latency, "latenessNs": lateness}

    def remove(self, _argument):
        self.opened = None
        self.admin.delete_topics([self.topic], operation_timeout=30)[self.topic].result(DEADLINE_S)


def timed(begin, cpu):
    return {"elapsedMs": (time.perf_counter() - begin) * 1e3, "cpuMs": (time.process_time() - cpu) * 1e3}


def main():
    load = Load()
    for line in sys.stdin:
        call = json.loads(line)
        try:
            answer = {"result": getattr(load, call["method"])(call["argument"])}
        except Exception as error:  # told to the caller, who ends the run
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
