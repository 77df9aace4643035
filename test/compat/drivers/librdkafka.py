"""librdkafka, by its Python binding, for the compatibility tests: the protocol is drawn in support/driver.ts."""
import json
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lines import serve

SECONDS_MAX = 30
SETTINGS = json.loads(sys.argv[1])
COMMON = {"bootstrap.servers": ",".join(SETTINGS["bootstrap"])}

producers = {}
member = None
taken = {}


admin = AdminClient(COMMON)


def connect():
    metadata = admin.list_topics(timeout=SECONDS_MAX)
    version = f"{confluent_kafka.libversion()[0]} (confluent-kafka {confluent_kafka.__version__} for Python)"
    return {"version": version, "brokers": sorted(metadata.brokers)}


def only(futures):
    (future,) = futures.values()
    return future.result(SECONDS_MAX)


def create_topic(topic, partitions, replicas):
    only(admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=replicas)]))


def describe_topic(topic):
    found = admin.list_topics(timeout=SECONDS_MAX).topics.get(topic)
    return None if found is None or found.error is not None else len(found.partitions)


def delete_topic(topic):
    only(admin.delete_topics([topic]))


def produce(topic, codec, idempotent, records):
    producer = producers.get((codec, idempotent))
    if producer is None:
        own = {"compression.type": codec, "enable.idempotence": idempotent, "acks": "all", "linger.ms": 5}
        producer = producers[codec, idempotent] = Producer({**COMMON, **own})
    offsets = [None] * len(records)

    def reporter(index):
        def report(error, message):
            if error is None:
                offsets[index] = message.offset()
            else:
                print(f"record {index}: {error}", file=sys.stderr)

        return report

    for index, record in enumerate(records):
        producer.produce(topic, value=record["value"], partition=record["partition"], on_delivery=reporter(index))
        producer.poll(0)
    producer.flush(2 * SECONDS_MAX)
    return offsets


def of(message):
    return {"partition": message.partition(), "offset": message.offset(), "value": message.value().decode()}


def read(topic, partition, count, **place):
    consumer = Consumer({**COMMON, "group.id": "none", "enable.auto.commit": False})
    start = place["from"].get("offset")
    if start is None:
        asked = TopicPartition(topic, partition, place["from"]["time"])
        start = consumer.offsets_for_times([asked], SECONDS_MAX)[0].offset
    consumer.assign([TopicPartition(topic, partition, start)])
    records = []
    while len(records) < count:
        message = consumer.poll(SECONDS_MAX)
        if message is None:
            raise TimeoutError(f"nothing came for {SECONDS_MAX} s after {len(records)} of {count} records")
        if message.error() is not None:
            raise KafkaException(message.error())
        records.append(of(message))
    consumer.close()
    return records


def join(group, topic, count=None):
    global member
    own = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    if SETTINGS["protocol"] == "consumer":
        own["group.protocol"] = "consumer"
    else:
        own["heartbeat.interval.ms"] = 500
        own["session.timeout.ms"] = 10_000
    member = Consumer({**COMMON, **own})
    member.subscribe([topic])


waiting = []


def poll(until, ms):
    """Polls until something holds, at most `ms`."""
    deadline = time.monotonic() + ms / 1000
    while not until() and (left := deadline - time.monotonic()) > 0:
        message = member.poll(min(left, 0.1))
        if message is None:
            continue
        if message.error() is None:
            waiting.append(message)
        elif not message.error().retriable():
            print(f"consumer: {message.error()}", file=sys.stderr)


def owned(count, ms):
    poll(lambda: len(member.assignment()) == count, ms)
    return sorted(each.partition for each in member.assignment())


def take(count, ms):
    poll(lambda: len(waiting) >= count, ms)
    messages = waiting[:count]
    del waiting[:count]
    for message in messages:
        taken[message.topic(), message.partition()] = message.offset() + 1
    return [of(message) for message in messages]


def commit():
    member.commit(offsets=[TopicPartition(*key, offset) for key, offset in taken.items()], asynchronous=False)


def leave():
    global member
    member.close()
    member = None
    taken.clear()


COMMANDS = (connect, create_topic, describe_topic, delete_topic, produce, read, join, owned, take, commit, leave)
serve({each.__name__: each for each in COMMANDS}, lambda: member and member.close())
