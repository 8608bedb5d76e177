"""Words of older study files, and what to write instead."""

from collections.abc import Iterator, Mapping
from typing import Any

_VALUES = {
    ("form", "fast"): "softmax",
    ("form", "paper"): "gpt2",
    ("recipe", "fast"): "muon",
    ("draws", "error_by_hops"): "error_by_k",
}
_KEYS = {
    ("task", "max_hops"): "max_k",
    ("evaluation", "hops"): "k",
    ("evaluation", "dropout"): 'modes, with "train" for on and "eval" for off',
    ("alignment", "dropout"): 'mode, with "train" for on and "eval" for off',
    ("figures", "hops"): "k",
    ("figures", "dropout"): 'mode, with "train" for on and "eval" for off',
    ("beside", "dropout"): 'mode, with "train" for on and "eval" for off',
}


def former_words(content: Mapping[str, Any]) -> list[str]:
    """Return a line for each word of an older study file, with what to write instead."""
    lines = list(_former(content, ""))
    task = content.get("task")
    if isinstance(task, dict) and "name" not in task:
        lines.insert(0, "task: write name: hop besides its other settings")
    return lines


def _former(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _former(item, path)
    if not isinstance(value, Mapping):
        return
    section = path.partition(".")[0]
    for key, inner in value.items():
        where = f"{path}.{key}" if path else str(key)
        if (section, key) in _KEYS:
            yield f"{where}: write {_KEYS[section, key]}"
        elif isinstance(inner, str) and (key, inner) in _VALUES:
            yield f"{where}: '{inner}' is now called '{_VALUES[key, inner]}'; write that"
        yield from _former(inner, where)
