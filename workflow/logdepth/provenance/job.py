"""A job as it is declared: what decides its outputs, before anything of it runs."""

import json
import shlex
from dataclasses import dataclass, field
from typing import Any

from logdepth.canonical import canonical_json
from logdepth.provenance.definition import definition

# Parameters that commands read from study.json, or know from their inputs.
_NO_OPTIONS = ("experiments", "titles", "reach", "compiled", "models", "tables", "trials")


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        stage: name of its command, such as "train".
        modules: where its computation starts.
        parameters: named and resolved; plain JSON values.
        seeds: by what they are for.
        hidden: seeds that are part of another parameter, and no option.
    """

    stage: str
    modules: tuple[str, ...]
    parameters: dict[str, Any]
    seeds: dict[str, int] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    def definition(self, image: str | None = None) -> str:
        """Return the hash over parameters, seeds, source, and sha256 of its image, if any."""
        # As text, for the order of experiments is that of tables and figures.
        settings = {"parameters": json.dumps(self.parameters), "seeds": self.seeds}
        return definition(self.modules, settings if image is None else settings | {"image": image})

    @property
    def options(self) -> str:
        """The options of its command that say all this, quoted for a shell."""
        words: list[str] = []
        for name, value in self.parameters.items():
            if name in _NO_OPTIONS:
                continue
            for item in value if isinstance(value, list) else [value]:
                text = canonical_json(item) if isinstance(item, dict) else str(item)
                words += [f"--{name}", text]
        words += [
            word
            for purpose, seed in self.seeds.items()
            if purpose not in self.hidden
            for word in ("--seed", str(seed))
        ]
        return shlex.join(words)
