"""The messages of Pub/Sub's publish call, in protobuf's own form.

Google's client library has them, too, in a package that loads all of its clients: that alone would take half of the receiver's
start. So the few fields that we use are described here, by the numbers of
https://github.com/googleapis/googleapis/blob/master/google/pubsub/v1/pubsub.proto; a test has the library's own types read what
is sent. They live in a pool of their own, beside whatever else is loaded.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MessageOptions
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "google.pubsub.v1"

_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
_TEXT, _BYTES, _MESSAGE = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_MESSAGE


def _field(name: str, number: int, kind: Any, label: Any = _ONE, of: str = "") -> FieldDescriptorProto:
    return FieldDescriptorProto(name=name, number=number, type=kind, label=label, type_name=of or None)


def _classes() -> tuple[Any, Any]:
    attributes = DescriptorProto(
        name="AttributesEntry",
        field=[_field("key", 1, _TEXT), _field("value", 2, _TEXT)],
        options=MessageOptions(map_entry=True),
    )
    message = DescriptorProto(
        name="PubsubMessage",
        field=[
            _field("data", 1, _BYTES),
            _field("attributes", 2, _MESSAGE, _MANY, f".{_PACKAGE}.PubsubMessage.AttributesEntry"),
            _field("ordering_key", 5, _TEXT),
        ],
        nested_type=[attributes],
    )
    request = DescriptorProto(
        name="PublishRequest",
        field=[_field("topic", 1, _TEXT), _field("messages", 2, _MESSAGE, _MANY, f".{_PACKAGE}.PubsubMessage")],
    )
    response = DescriptorProto(name="PublishResponse", field=[_field("message_ids", 1, _TEXT, _MANY)])
    pool = DescriptorPool()
    described = [message, request, response]
    pool.Add(FileDescriptorProto(name="publish.proto", package=_PACKAGE, syntax="proto3", message_type=described))
    found = (pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in ("PublishRequest", "PublishResponse"))
    made_request, made_response = map(GetMessageClass, found)
    return made_request, made_response


PublishRequest, PublishResponse = _classes()
