"""YAML as people mean it: plain values only, ``1e-3`` a number, no name twice."""

from __future__ import annotations

import re
from typing import Any

import yaml


class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads what ``yaml.safe_load`` reads, with these differences.

    PyYAML follows YAML 1.1, in which ``1e-3`` is a text; here it is a number, as in YAML 1.2. A name that comes twice
    in one table is an error, and so are anchors: a few lines of them stand for a file of any size.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse what refers to another place."""
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(None, None, "anchors and references are not read", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a name that comes twice."""
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(None, None, f"{twice!r:.200} comes twice", node.start_mark)
        return super().construct_mapping(node, deep)


PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def parse_yaml(data: bytes) -> Any:
    """Return the document in a YAML file.

    Raises:
        ValueError: It is none, or holds more than plain values.
    """
    try:
        return yaml.load(data, Loader=PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
