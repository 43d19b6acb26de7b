"""Users' YAML files, read strictly: repeated keys, which YAML lets pass, and aliases, which can explode, are refused.

Does not belong here: what the fields of a file mean (the module of its source).
"""

from typing import Any

import yaml

from opinion_assets.errors import InputError


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses aliases and repeated keys, naming the line."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases (& and *) are not read", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                repeated = key in seen
            except TypeError:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain value", key_node.start_mark
                ) from None
            if repeated:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(content: bytes, name: str) -> Any:
    """The content of a YAML file in UTF-8, with or without a byte order mark.

    Raises InputError naming file and line where it is not, nests too deeply, uses aliases or tags, or repeats a key.
    """
    try:
        return yaml.load(content.decode("utf-8-sig"), Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        row = mark.line + 1 if mark else None
        raise InputError(
            f"is not YAML as it is read here: {error.problem or error.context}", file=name, row=row
        ) from error
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"is not UTF-8: byte 0x{content[error.start]:02x}", file=name, row=row) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = "nests too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise InputError(f"is not YAML as it is read here: {problem}", file=name) from error
