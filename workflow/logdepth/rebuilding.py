"""How the recorded commands of this project are run again, also those of older commits."""

from audit_trail.project import Rebuilding
from audit_trail.records import Record
from audit_trail.reproduction.command import place_of

STAGES = frozenset(
    (
        *("attention", "claims", "compare", "compile", "curves", "data", "depths", "describe"),
        *("evaluate", "figure", "fit", "import", "select", "tabulate", "theory", "train"),
    )
)


def _threads(record: Record) -> object:
    torch = record.machine.get("torch")
    threads = torch.get("threads") if isinstance(torch, dict) else None
    return threads if isinstance(threads, int) else None


def _nothing(record: Record) -> None:  # noqa: ARG001
    return None


def _import_arguments(record: Record, folder: str) -> list[str]:
    """Return the arguments that import again the one model that a record is about.

    The command may have named several, and its output by default.
    """
    released = dict.fromkeys(place_of(r.name).rpartition("/")[0] for r in record.external)
    samples: object = record.parameters
    for key in ("run", "training", "samples"):
        samples = samples.get(key) if isinstance(samples, dict) else None
    options = [f"--output={folder}"]
    # Where config.yaml has it as well, the same is said twice.
    if isinstance(samples, int):
        options.append(f"--samples={samples}")
    if len(released) != 1 or "" in released or any(name.startswith("-") for name in released):
        raise ValueError("it does not say what was imported")
    return [*released, *options]


RULES = Rebuilding(
    stages=STAGES,
    reads=frozenset(("model", "data", "runs", "table", "thresholds", "published", "study")),
    instead={
        "device": lambda record: record.parameters.get("device"),
        "threads": _threads,
        # A training is never continued from what somebody sent.
        "checkpoints": _nothing,
        "checkpoint-seconds": _nothing,
    },
    build={"import": _import_arguments},
    locks=frozenset(("envs/cpu.txt", "envs/cuda.txt")),
)
