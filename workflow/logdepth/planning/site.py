"""What a Slurm cluster is like: read from site.yaml and the environment, never from a study."""

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from logdepth.config.reading import read_yaml
from logdepth.errors import ConfigError
from logdepth.planning.gpus import DEVICES, Device, named
from logdepth.settings import Settings, mistakes

VARIABLE = "LOGDEPTH_"
_EXAMPLE = "profiles/slurm/site.example.yaml"
_MAIL_TYPES = (
    *("NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "INVALID_DEPEND", "STAGE_OUT"),
    *("TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50", "ARRAY_TASKS"),
)
# Names end on the command line of sbatch, which a shell reads.
_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.+@-]*"


def _text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(f"is {value}; expected text, such as '{value}' in quotes")
    return value


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is {value!r}; expected {expected}")
        return value

    return AfterValidator(check)


def _sbatch_options(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"is {value!r}: {str(error).lower()}; quotes come in pairs") from error
    if not value.isprintable() or (words and not words[0].startswith("-")):
        raise ValueError(
            f"is {value!r}; expected options of sbatch in one line, such as --constraint=v100"
        )
    return value


def _together(value: Any) -> Any:
    if value == "fastest":
        return value
    if not str(value).isdecimal() or not 1 <= int(value) <= 64:
        raise ValueError(f"is {value!r}; expected fastest, or a number from 1 to 64")
    return int(value)


Together: TypeAlias = int | Literal["fastest"]
Word = Annotated[
    str, BeforeValidator(_text), _matching(_WORD, "letters, digits and _ . + @ - alone")
]
Words = Annotated[
    str,
    BeforeValidator(_text),
    _matching(f"{_WORD}(,{_WORD})*", "a name, or several with commas, no spaces"),
]
_TYPE = f"({'|'.join(_MAIL_TYPES)})"
MailTypes = Annotated[
    str,
    _matching(f"{_TYPE}(,{_TYPE})*", f"some of {', '.join(_MAIL_TYPES)}, with commas, no spaces"),
]


class Site(Settings):
    """A Slurm cluster, as far as its jobs must know it."""

    partition: Words | None = None
    """Partition of jobs that train; the cluster's default if left out."""
    cpu_partition: Words | None = None
    """Partition of jobs without a GPU; ``partition`` if left out."""
    account: Word | None = None
    """Account to charge."""
    qos: Word | None = None
    """Quality of service to ask for."""
    gpu: str = "T4"
    """GPU of the cluster as `logdepth plan --device` knows it, or none; T4 is the slowest known."""
    gpu_model: Word | None = None
    """What Slurm calls that GPU, asked for as --gpus=<gpu_model>:1; any GPU if left out."""
    cpus_per_gpu: int = Field(8, ge=1, le=128)
    """Most processes that share one GPU, each with a core; without a GPU, of one job."""
    together: Annotated[Together, PlainValidator(_together)] = 1
    """Runs alike but for seed, samples and rates, so many as one network; fastest: as measured."""
    device: Literal["cuda", "cpu"] | None = None
    """What training runs on: cuda or cpu; if left out cuda, but cpu where gpu is none."""
    max_hours: float = Field(24, gt=0, allow_inf_nan=False)
    """Longest time limit of a job that the partition allows, in hours."""
    mail: Word | None = None
    """Address or user that Slurm writes to."""
    mail_types: MailTypes = "FAIL"
    """When Slurm writes, as in sbatch --mail-type."""
    extra: Annotated[str, AfterValidator(_sbatch_options)] = ""
    """More options of sbatch, as on its command line."""
    image: str = Field("containers/logdepth.sif", min_length=1)
    """Apptainer image that jobs run in."""

    @field_validator("gpu")
    @classmethod
    def _known_gpu(cls, value: str) -> str:
        if value.lower() == "none":
            return "none"
        if device := named(value):
            return device.name
        raise ValueError(f"is {value!r}; expected none, {', '.join(DEVICES)}")

    @field_validator("device")
    @classmethod
    def _gpu_to_run_on(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "cuda" and info.data.get("gpu") == "none":
            raise ValueError("is cuda, but gpu is none; expected cpu, or a GPU's name as gpu")
        return value

    @property
    def gpu_device(self) -> Device | None:
        """The GPU by its data sheet; None for a cluster that trains on CPUs."""
        return DEVICES.get(self.gpu)

    @property
    def training_device(self) -> Literal["cuda", "cpu"]:
        """What training runs on.

        With a GPU never "auto": a job that does not see its GPU is to stop, not to train on a CPU.
        """
        return self.device or ("cpu" if self.gpu == "none" else "cuda")

    @property
    def max_minutes(self) -> int:
        """Longest time limit of a job in whole minutes, 1 at least."""
        return max(1, int(60 * self.max_hours))

    def partition_of(self, *, gpu: bool) -> str | None:
        """Return the partition of jobs with or without a GPU; None for the cluster's default."""
        return self.partition if gpu else self.cpu_partition or self.partition


def read_site(path: Path, environ: Mapping[str, str]) -> Site:
    """Return what a file and the environment say about the cluster.

    Args:
        path: YAML file, which may be absent; LOGDEPTH_SITE names another one, which must exist.
        environ: LOGDEPTH_<KEY IN CAPITALS> wins over the file; empty variables count as unset.

    Raises:
        ConfigError: with a line for each mistake, naming the file or variable, and the key.
    """
    other = environ.get(f"{VARIABLE}SITE")
    if other:
        path = Path(other)
    there = bool(other) or path.exists()
    settings = read_yaml(path, _EXAMPLE, may_be_empty=True) if there else {}
    variables = {f"{VARIABLE}{key.upper()}": key for key in Site.model_fields}
    for name in environ:
        # Others of the same prefix exist; only what looks like one of ours is taken for a mistake.
        close = difflib.get_close_matches(name, variables, 1, cutoff=0.9)
        if name not in variables and name.startswith(VARIABLE) and close:
            raise ConfigError(f"{name}: no such variable, did you mean {close[0]}?")
    given = {key: name for name, key in variables.items() if environ.get(name)}
    try:
        return Site.model_validate(settings | {key: environ[name] for key, name in given.items()})
    except ValidationError as error:
        lines = []
        for line in mistakes(error):
            key = line.partition(":")[0]
            lines.append(line.replace(key, given[key], 1) if key in given else f"{path}: {line}")
        raise ConfigError("\n".join(lines)) from error
