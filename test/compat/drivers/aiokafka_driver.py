"""aiokafka for the compatibility tests: the protocol is drawn in support/driver.ts."""
import asyncio
import json
import logging
import sys
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from lines import serve

logging.basicConfig(level=logging.WARNING)

SECONDS_MAX = 30
SETTINGS = json.loads(sys.argv[1])
COMMON = {"bootstrap_servers": SETTINGS["bootstrap"]}

loop = asyncio.new_event_loop()
admin = None
producers = {}
member = None
waiting = []
taken = {}


async def started_admin():
    global admin
    if admin is None:
        admin = AIOKafkaAdminClient(**COMMON)
        await admin.start()
    return admin


async def connect():
    cluster = await (await started_admin()).describe_cluster()
    return {"version": aiokafka.__version__, "brokers": [broker["node_id"] for broker in cluster["brokers"]]}


async def create_topic(topic, partitions, replicas):
    new = NewTopic(topic, num_partitions=partitions, replication_factor=replicas)
    await (await started_admin()).create_topics([new])


async def describe_topic(topic):
    started = await started_admin()
    if topic not in await started.list_topics():
        return None
    return len((await started.describe_topics([topic]))[0]["partitions"])


async def delete_topic(topic):
    await (await started_admin()).delete_topics([topic])


async def produce(topic, codec, idempotent, records):
    producer = producers.get((codec, idempotent))
    if producer is None:
        own = {"compression_type": None if codec == "none" else codec, "enable_idempotence": idempotent, "acks": "all"}
        producer = producers[codec, idempotent] = AIOKafkaProducer(**COMMON, **own, linger_ms=5)
        await producer.start()
    sends = [
        await producer.send(topic, value=record["value"].encode(), partition=record["partition"]) for record in records
    ]
    ended = await asyncio.gather(*sends, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            print(repr(each), file=sys.stderr)
    return [None if isinstance(each, Exception) else each.offset for each in ended]


def of(record):
    return {"partition": record.partition, "offset": record.offset, "value": record.value.decode()}


async def read(topic, partition, count, **place):
    consumer = AIOKafkaConsumer(**COMMON, enable_auto_commit=False)
    await consumer.start()
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    offset = place["from"].get("offset")
    if offset is None:
        offset = (await consumer.offsets_for_times({at: place["from"]["time"]}))[at].offset
    consumer.seek(at, offset)
    records = []
    deadline = time.monotonic() + SECONDS_MAX
    while len(records) < count and time.monotonic() < deadline:
        for batch in (await consumer.getmany(timeout_ms=100, max_records=count - len(records))).values():
            records.extend(of(record) for record in batch)
    await consumer.stop()
    return records


async def join(group, topic, count=None):
    global member
    own = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    times = {"heartbeat_interval_ms": 500, "session_timeout_ms": 10_000}
    member = AIOKafkaConsumer(topic, **COMMON, **own, **times, group_id=group)
    await member.start()


async def poll(until, ms):
    """Polls until something holds, at most `ms`."""
    deadline = time.monotonic() + ms / 1000
    while not until() and time.monotonic() < deadline:
        for batch in (await member.getmany(timeout_ms=100)).values():
            waiting.extend(batch)


async def owned(count, ms):
    await poll(lambda: len(member.assignment()) == count, ms)
    return sorted(each.partition for each in member.assignment())


async def take(count, ms):
    await poll(lambda: len(waiting) >= count, ms)
    records = waiting[:count]
    del waiting[:count]
    for record in records:
        taken[TopicPartition(record.topic, record.partition)] = record.offset + 1
    return [of(record) for record in records]


async def commit():
    await member.commit(dict(taken))


async def leave():
    global member
    if member is not None:
        await member.stop()
    member = None
    taken.clear()


async def close():
    await leave()
    for producer in producers.values():
        await producer.stop()
    if admin is not None:
        await admin.close()


def blocking(command):
    return lambda **arguments: loop.run_until_complete(command(**arguments))


COMMANDS = (connect, create_topic, describe_topic, delete_topic, produce, read, join, owned, take, commit, leave)
serve({each.__name__: blocking(each) for each in COMMANDS}, blocking(close))
