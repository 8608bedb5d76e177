"""Reading YAML: one reader for studies, sites and options, so that all take a text alike."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from logdepth.errors import ConfigError

# A study has five levels; Python gives up at a thousand.
_DEPTH = 50


def parse_yaml(text: str, source: str) -> Any:
    """Return what a text of YAML 1.2 says: no key twice, no tabs, nothing within itself.

    ``source`` is its file or option, for messages.

    Raises:
        ConfigError: not YAML, or nested too deep.
    """
    deep = f"{source}: nested more than {_DEPTH} deep"
    try:
        content = YAML(typ="safe").load(text)
    except YAMLError as error:
        reason = " ".join(str(error).partition("To suppress")[0].split())
        raise ConfigError(f"{source}: not YAML: {reason}") from error
    except RecursionError as error:
        raise ConfigError(deep) from error
    level = [content]
    for _ in range(_DEPTH):
        within = [
            item for items in level if isinstance(items, dict | list) for item in _items(items)
        ]
        # What aliases share is looked at once.
        level = list({id(item): item for item in within}.values())
    if level:
        raise ConfigError(deep)
    return content


def _items(container: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def read_yaml(path: Path, example: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Return the keys and values of a YAML file; ``example`` is one, for messages.

    Raises:
        ConfigError: missing, unreadable, not YAML, or no mapping.
    """
    content = parse_yaml(read_text(path, f"a copy of {example}"), str(path))
    if content is None and may_be_empty:  # nothing but comments
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, as in {example}")
    return content


def read_text(path: Path, expected: str) -> str:
    """Return the text of a file that a user wrote; ``expected`` is said if there is none.

    Raises:
        ConfigError: missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; expected {expected}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        where = f"{error.reason} at byte {error.start}"
        raise ConfigError(f"{path}: {where}; expected UTF-8") from error
