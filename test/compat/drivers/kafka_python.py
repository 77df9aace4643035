"""kafka-python for the compatibility tests: the protocol is drawn in support/driver.ts."""
import json
import logging
import sys
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic

from lines import serve

logging.basicConfig(level=logging.WARNING)

SECONDS_MAX = 30
SETTINGS = json.loads(sys.argv[1])
COMMON = {"bootstrap_servers": SETTINGS["bootstrap"]}

admin = KafkaAdminClient(**COMMON)
producers = {}
member = None
waiting = []
taken = {}


def connect():
    nodes = [broker["broker_id"] if "broker_id" in broker else broker["node_id"] for broker in admin.describe_cluster()["brokers"]]
    return {"version": kafka.__version__, "brokers": nodes}


def create_topic(topic, partitions, replicas):
    admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=replicas)])


def describe_topic(topic):
    if topic not in admin.list_topics():
        return None
    return len(admin.describe_topics([topic])[0]["partitions"])


def delete_topic(topic):
    admin.delete_topics([topic])


def produce(topic, codec, idempotent, records):
    producer = producers.get((codec, idempotent))
    if producer is None:
        own = {"compression_type": None if codec == "none" else codec, "enable_idempotence": idempotent, "acks": "all"}
        producer = producers[codec, idempotent] = KafkaProducer(**COMMON, **own, retries=100, linger_ms=5)
    sends = [
        producer.send(topic, value=record["value"].encode(), partition=record["partition"]) for record in records
    ]
    producer.flush(2 * SECONDS_MAX)
    offsets = []
    for send in sends:
        try:
            offsets.append(send.get(SECONDS_MAX).offset)
        except Exception as exception:
            print(repr(exception), file=sys.stderr)
            offsets.append(None)
    return offsets


def of(record):
    return {"partition": record.partition, "offset": record.offset, "value": record.value.decode()}


def read(topic, partition, count, **place):
    consumer = KafkaConsumer(**COMMON, enable_auto_commit=False)
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    offset = place["from"].get("offset")
    if offset is None:
        offset = consumer.offsets_for_times({at: place["from"]["time"]})[at].offset
    consumer.seek(at, offset)
    records = []
    deadline = time.monotonic() + SECONDS_MAX
    while len(records) < count and time.monotonic() < deadline:
        for batch in consumer.poll(100, max_records=count - len(records)).values():
            records.extend(of(record) for record in batch)
    consumer.close()
    return records


def join(group, topic, count=None):
    global member
    own = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    member = KafkaConsumer(topic, **COMMON, **own, group_id=group, heartbeat_interval_ms=500, session_timeout_ms=10_000)


def poll(until, ms):
    """Polls until something holds, at most `ms`."""
    deadline = time.monotonic() + ms / 1000
    while not until() and time.monotonic() < deadline:
        for batch in member.poll(100).values():
            waiting.extend(batch)


def owned(count, ms):
    poll(lambda: len(member.assignment()) == count, ms)
    return sorted(each.partition for each in member.assignment())


def take(count, ms):
    poll(lambda: len(waiting) >= count, ms)
    records = waiting[:count]
    del waiting[:count]
    for record in records:
        taken[TopicPartition(record.topic, record.partition)] = OffsetAndMetadata(record.offset + 1, "", -1)
    return [of(record) for record in records]


def commit():
    member.commit(dict(taken))


def leave():
    global member
    if member is not None:
        member.close()
    member = None
    taken.clear()


def close():
    leave()
    for producer in producers.values():
        producer.close()
    admin.close()


COMMANDS = (connect, create_topic, describe_topic, delete_topic, produce, read, join, owned, take, commit, leave)
serve({each.__name__: each for each in COMMANDS}, close)
