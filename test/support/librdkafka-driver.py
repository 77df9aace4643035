"""Drives librdkafka for tests: one command per line of standard input, one answer per line of standard output, in JSON.

A command is {"do": name, "config": settings of librdkafka, ...}; an answer is {"value": ...}, or {"error": name} with
librdkafka's name of the error. Bytes are text in the command's "encoding" (utf-8). What librdkafka logs goes to standard
error.
"""
import json
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

SECONDS_MAX = 30
SPECS = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest, "max-timestamp": OffsetSpec.max_timestamp}


def codec(command):
    encoding = command.get("encoding", "utf-8")
    encode = lambda text: None if text is None else text.encode(encoding)
    decode = lambda data: None if data is None else data.decode(encoding)
    return encode, decode


def produce(command):
    """Sends records and gives the delivery report of each."""
    encode, _ = codec(command)
    producer = Producer(command["config"])
    reports = [None] * len(command["records"])

    def reporter(index):
        def report(error, message):
            reports[index] = (
                {"error": error.name()}
                if error
                else {"partition": message.partition(), "offset": message.offset(), "timestamp": message.timestamp()[1]}
            )

        return report

    for index, record in enumerate(command["records"]):
        optional = {name: record[name] for name in ("partition", "timestamp") if name in record}
        headers = [(key, encode(value)) for key, value in record.get("headers", [])]
        producer.produce(
            command["topic"],
            value=encode(record.get("value")),
            key=encode(record.get("key")),
            headers=headers,
            on_delivery=reporter(index),
            **optional,
        )
        producer.poll(0)
    producer.flush(SECONDS_MAX)
    return reports


def consume(command):
    """Reads partitions, given as [partition, offset], to their ends by assign()."""
    _, decode = codec(command)
    # The end of a partition is an empty answer, which the broker holds back for as long as it is let.
    own = {"group.id": "none", "enable.auto.commit": False, "enable.partition.eof": True, "fetch.wait.max.ms": 20}
    consumer = Consumer({**command["config"], **own})
    consumer.assign([TopicPartition(command["topic"], partition, offset) for partition, offset in command["from"]])
    records, ended = [], 0
    while ended < len(command["from"]):
        message = consumer.poll(SECONDS_MAX)
        if message is None:
            raise TimeoutError(f"nothing came for {SECONDS_MAX} s after {len(records)} records")
        if message.error() is None:
            records.append(
                {
                    "partition": message.partition(),
                    "offset": message.offset(),
                    "timestamp": message.timestamp()[1],
                    "key": decode(message.key()),
                    "value": decode(message.value()),
                    "headers": [[key, decode(value)] for key, value in message.headers() or []],
                }
            )
        elif message.error().name() == "_PARTITION_EOF":
            ended += 1
        else:
            raise KafkaException(message.error())
    consumer.close()
    return records


def look_up(command):
    """Watermarks of a partition, and the offset for each of some times."""
    consumer = Consumer({**command["config"], "group.id": "none"})
    topic, partition = command["topic"], command["partition"]
    watermarks = consumer.get_watermark_offsets(TopicPartition(topic, partition), SECONDS_MAX)
    times = [
        consumer.offsets_for_times([TopicPartition(topic, partition, time)], SECONDS_MAX)[0].offset
        for time in command["times"]
    ]
    consumer.close()
    return {"watermarks": watermarks, "times": times}


def only(futures):
    (future,) = futures.values()
    return future.result(SECONDS_MAX)


def create_topic(admin, command):
    only(admin.create_topics([NewTopic(**command["topic"])]))


def delete_topic(admin, command):
    only(admin.delete_topics([command["topic"]]))


def list_topics(admin, command):
    metadata = admin.list_topics(timeout=SECONDS_MAX)
    return {name: sorted(topic.partitions) for name, topic in metadata.topics.items()}


def describe_configs(admin, command):
    entries = only(admin.describe_configs([ConfigResource(command["type"], command["name"])]))
    return {name: [entry.value, entry.is_default, entry.is_read_only] for name, entry in entries.items()}


def alter_configs(admin, command):
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType[operation])
        for name, operation, value in command["changes"]
    ]
    only(admin.incremental_alter_configs([ConfigResource("TOPIC", command["name"], incremental_configs=entries)]))


def create_partitions(admin, command):
    only(admin.create_partitions([NewPartitions(command["topic"], command["count"])]))


def delete_records(admin, command):
    return only(admin.delete_records([TopicPartition(command["topic"], command["partition"], command["before"])])).low_watermark


def list_offsets(admin, command):
    at = command["at"]
    spec = SPECS[at]() if at in SPECS else OffsetSpec.for_timestamp(at)
    listed = only(admin.list_offsets({TopicPartition(command["topic"], command["partition"]): spec}))
    return {"offset": listed.offset, "timestamp": listed.timestamp}


def describe_cluster(admin, command):
    cluster = admin.describe_cluster().result(SECONDS_MAX)
    nodes = [[node.id, node.host, node.port] for node in cluster.nodes]
    return {"id": cluster.cluster_id, "controller": cluster.controller.id, "nodes": nodes}


CLIENT_COMMANDS = {each.__name__: each for each in (produce, consume, look_up)}
ADMIN_COMMANDS = {
    each.__name__: each
    for each in (
        create_topic,
        delete_topic,
        list_topics,
        describe_configs,
        alter_configs,
        create_partitions,
        delete_records,
        list_offsets,
        describe_cluster,
    )
}


def run(command):
    name = command["do"]
    if name in CLIENT_COMMANDS:
        return CLIENT_COMMANDS[name](command)
    return ADMIN_COMMANDS[name](AdminClient(command["config"]), command)


for line in sys.stdin:
    try:
        answer = {"value": run(json.loads(line))}
    except KafkaException as exception:
        answer = {"error": exception.args[0].name()}
    except Exception as exception:
        answer = {"error": repr(exception)}
    print(json.dumps(answer), flush=True)
