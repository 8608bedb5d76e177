"""Records of jobs that never ran, as somebody may write them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forgery import HISTORY, lines_of, write_history

NONE = "0" * 64
COMMIT = "c" * 40


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def resource(role: str, name: str, digest: str = NONE) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}, "annotations": {"role": role}}


def statement(
    stage: str,
    *,
    command: Sequence[str] = (),
    parameters: dict[str, Any] | None = None,
    seeds: dict[str, Any] | None = None,
    outputs: dict[str, str] | None = None,
    resources: Sequence[dict[str, Any]] = (),
    machine: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the statement of a job; outputs are given by their sha256."""
    code = {"name": "code", "digest": {"gitCommit": COMMIT}, "annotations": {"role": "code"}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": n, "digest": {"sha256": s}} for n, s in (outputs or {}).items()],
        "predicate": {
            "buildDefinition": {
                "externalParameters": {"stage": stage, **(parameters or {})},
                "internalParameters": {
                    "definition": "d" * 64,
                    "seeds": seeds or {},
                    "command": list(command),
                },
                "resolvedDependencies": [*resources, code],
            },
            "runDetails": {
                "builder": {"version": {"python": "3.11"}},
                "metadata": {
                    "startedOn": "2026-11-01T00:00:00Z",
                    "finishedOn": "2026-11-01T00:00:01Z",
                },
                "byproducts": [{"name": "machine", "annotations": machine or {}}],
            },
        },
    }


def write_job(
    study: Path,
    name: str,
    files: dict[str, str],
    *,
    packages: dict[str, str] | None = None,
    sources: dict[str, str] | None = None,
    resources: Sequence[dict[str, Any]] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Write the outputs of a job, its record, its lists, and a line of the history.

    Args:
        study: folder of the study.
        name: stage and name: "train/x".
        files: contents of the outputs.
        packages: versions.
        sources: hashes of modules.
        resources: what else it was made from.
        **settings: of ``statement``.
    """
    lists = (
        ("packages", "environments", packages or {"numpy": "1"}),
        ("source", "sources", sources or {"x": "1"}),
    )
    kept = {role: (folder, json.dumps(listed)) for role, folder, listed in lists}
    paths = {r: f"provenance/{folder}/{sha256(text)}.json" for r, (folder, text) in kept.items()}
    made = statement(
        name.partition("/")[0],
        outputs={path: sha256(text) for path, text in files.items()},
        resources=[*resources, *(resource(r, paths[r], sha256(kept[r][1])) for r in kept)],
        **settings,
    )
    text = json.dumps(made)
    record = f"provenance/{name}.json"
    written = {**files, record: text, **{paths[role]: kept[role][1] for role in kept}}
    for path, content in written.items():
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(content)
    entry = {"time": "2026-11-01T00:00:01Z", "record": record, "sha256": sha256(text)}
    lines = lines_of(study) if (study / HISTORY).exists() else []
    write_history(study, [*lines, {**entry, "statement": made}])
    return made
