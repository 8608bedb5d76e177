"""How the recorded commands of this project are run again, also those of older commits."""

from audit_trail.plain import flat
from audit_trail.project import Rebuilding
from audit_trail.records import Record
from audit_trail.reproduction.command import place_of

STAGES = frozenset(
    (
        *("ablation", "attention", "claims", "compare", "compile", "curves", "data", "depths"),
        *(
            "describe",
            "evaluate",
            "figure",
            "fit",
            "import",
            "lengths",
            "select",
            "tabulate",
            "theory",
        ),
        "train",
    )
)


def _import_arguments(record: Record, folder: str) -> list[str]:
    """Return the arguments that import again the one model that a record is about.

    The command may have named several, and its output by default.
    """
    released = dict.fromkeys(place_of(r.name).rpartition("/")[0] for r in record.external)
    if len(released) != 1 or "" in released or any(name.startswith("-") for name in released):
        raise ValueError("it does not say what was imported")
    # Where config.yaml has it as well, the same is said twice.
    samples = flat(record.parameters).get("run.training.samples")
    limit = [f"--samples={samples}"] if isinstance(samples, int) else []
    return [*released, f"--output={folder}", *limit]


RULES = Rebuilding(
    stages=STAGES,
    reads=frozenset(("model", "data", "runs", "table", "thresholds", "published", "study")),
    instead={
        "device": lambda record: record.parameters.get("device"),
        "threads": lambda record: flat(record.machine).get("torch.threads"),
        # A training is never continued from what somebody sent.
        "checkpoints": lambda _: None,
        "checkpoint-seconds": lambda _: None,
        # Nor together with others, but for which it is the same training.
        "together": lambda _: None,
        "among": lambda _: None,
    },
    build={"import": _import_arguments},
    locks=frozenset(("envs/cpu.txt", "envs/cuda.txt")),
)
