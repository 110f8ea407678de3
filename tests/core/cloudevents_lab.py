"""CloudEvents 1.0 as its specification says it: attribute names, types and formats, structured JSON."""

from typing import Any

import jsonschema
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

EXTENSION = {
    "oneOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        {"type": "string", "pattern": "^[^\u0000-\u001f\u007f-\u009f]*$"},
    ]
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1, "pattern": r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$"},
        "specversion": {"const": "1.0"},
        "type": {"type": "string", "pattern": r"^unstuck(\.[a-z]+(-[a-z]+)*){2}$"},
        "datacontenttype": {"type": "string", "pattern": "^[a-z]+/[a-z0-9.+-]+(;.*)?$"},
        "dataschema": {"type": "string", "minLength": 1},
        "subject": {"type": "string", "minLength": 1},
        "time": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
        "data": {"type": "object"},
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    },
    "propertyNames": {"anyOf": [{"pattern": "^[a-z0-9]{1,20}$"}, {"const": "data_base64"}]},
    "additionalProperties": EXTENSION,
    "not": {"required": ["data", "data_base64"]},
}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def require_cloud_event(body: bytes, event: dict[str, Any]) -> None:
    """Fail for what is no CloudEvent 1.0, by the schema above and by the package of the people who wrote the standard."""
    VALIDATOR.validate(event)
    read = JSONFormat().read(CloudEvent, body)
    assert read.get_id() == event["id"] and read.get_type() == event["type"]
    assert read.get_time() is not None and read.get_data() == event["data"]
