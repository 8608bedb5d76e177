"""What a record says of its job, as plain named values."""

import json
from typing import Any

from audit_trail.plain import flat
from audit_trail.records import MAX_BYTES, Record
from audit_trail.study import StudyFolder
from audit_trail.tracing.states import Files

# Of the run a job trained: what tells runs apart, and what its command could not say shorter.
_SETTINGS = {
    "depth": ("model", "depth"),
    "heads": ("model", "heads"),
    "width": ("model", "width"),
    "train_samples": ("training", "samples"),
    "seed": ("seed",),
}


def job_facts(record: Record) -> dict[str, Any]:
    """Return times, seeds, device, Slurm job, named parameters and command of a job."""
    facts: dict[str, Any] = {"started": record.started, "finished": record.finished}
    if (taken := record.seconds) is not None:
        facts["seconds"] = round(taken, 1)
    facts |= {f"seed of {name}": value for name, value in record.seeds.items()}
    # A parameter may have any name, also one of these.
    facts |= {k: v for k, v in flat(record.parameters).items() if k not in facts}
    machine = record.machine
    facts |= flat(mapping(machine.get("torch")), "torch.")
    facts |= flat(mapping(machine.get("slurm")))
    if "driver" in machine:
        facts["driver"] = machine["driver"]
    facts["definition"] = record.definition or "none: started by hand"
    facts["command"] = " ".join(record.command)
    return facts


def machine_facts(record: Record) -> dict[str, Any]:
    """Return host, processor, cores and platform of a job."""
    apart = ("torch", "slurm", "driver")
    facts = {key: value for key, value in record.machine.items() if key not in apart}
    interpreter = record.interpreter
    return facts | {k: interpreter[k] for k in ("platform", "machine") if k in interpreter}


def interpreter_facts(record: Record) -> dict[str, Any]:
    """Return the version of Python of a job."""
    interpreter = record.interpreter
    return {k: interpreter[k] for k in ("python", "implementation") if k in interpreter}


def run_facts(study: StudyFolder, files: Files, run: str) -> dict[str, Any]:
    """Return what a run is and how it was trained; empty where nothing says so."""
    content = run_content(study, files, run)
    if not content:
        return {}
    facts = {**run_settings(content), **flat(content)}
    for name, path in _SETTINGS.items():
        if name != path[-1] or len(path) > 1:
            facts.pop(".".join(path), None)
    record = maker_of_run(study, run)
    if record is None:
        return facts | {"made by": "unknown: settings from run.json, no record of the run"}
    facts["device"] = device(record)
    facts["host"] = record.machine.get("host", "")
    if (taken := record.seconds) is not None:
        facts["seconds"] = round(taken, 1)
    return facts | {"started": record.started, "made by": record.stage}


def run_content(study: StudyFolder, files: Files, run: str) -> dict[str, Any]:
    """Return the definition of a run by its record, or by its run.json where there is none."""
    if record := maker_of_run(study, run):
        return mapping(record.parameters.get("run"))
    path = files.path(f"runs/{run}/run.json")
    if path is None or path.stat().st_size > MAX_BYTES:
        return {}
    try:
        return mapping(json.loads(path.read_bytes()))
    except (ValueError, RecursionError):
        return {}


def run_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Return depth, heads, width, training samples and seed of the definition of a run."""
    found: dict[str, Any] = {}
    for name, path in _SETTINGS.items():
        value: Any = content
        for key in path:
            value = mapping(value).get(key)
        # Without a limit the training set is endless; without a definition nothing is known.
        endless = name == "train_samples" and value is None and content
        found[name] = "inf" if endless else value
    return found


def maker_of_run(study: StudyFolder, run: str) -> Record | None:
    """Return the record of the job that trained or imported a run."""
    for file in ("model.safetensors", "run.json"):
        if record := study.makers.get(f"runs/{run}/{file}"):
            return record
    return None


def experiments(record: Record) -> dict[str, list[str]]:
    """Return the runs of each experiment that a job was about; empty where it had none."""
    listed = mapping(record.parameters.get("experiments"))
    return {
        str(name): [str(run) for run in runs]
        for name, runs in listed.items()
        if isinstance(runs, list)
    }


def device(record: Record) -> str:
    """Return the name of the GPU that a job ran on, or the device as it was asked for."""
    torch = mapping(record.machine.get("torch"))
    asked = record.parameters.get("device", "")
    return str(torch["gpu"] if "gpu" in torch and str(asked).startswith("cuda") else asked)


def mapping(value: Any) -> dict[str, Any]:
    """Return a value if it is a mapping, and an empty one if it is anything else."""
    return value if isinstance(value, dict) else {}
