"""Reads a topic with the CloudEvents SDK of Python, which knows nothing of Highwater.

Prints a line of JSON for each event that the SDK accepts, marks too; fails at one that it doesn't.
Usage: cloud_events.py SERVERS TOPIC COUNT_OF_EVENTS
"""

import json
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import Consumer

servers, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({
    "bootstrap.servers": servers,
    "group.id": topic + "-foreign",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
})
consumer.subscribe([topic])
while count > 0:
    message = consumer.poll(30)
    if message is None or message.error():
        sys.exit(f"no more records: {message and message.error()}")
    headers = dict(message.headers())
    event = from_kafka_event(KafkaMessage(headers, message.key(), message.value() or b""))
    line = {name: str(value) for name, value in event.get_attributes().items()}
    line["data"] = event.get_data()
    print(json.dumps(line), flush=True)
    count -= line["type"] != "highwater.mark"
consumer.close()
