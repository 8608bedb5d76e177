# What jobs ask for: time, memory, and which of them are the long ones.
from logdepth.planning import resources as requests
from logdepth.planning.cost import costs_of
from logdepth.planning.groups import most_together
from logdepth.theory.catalog import TABLES as THEORY_TABLES

# Also in a job of Slurm, which has no costs: the bits of a run depend on it.
TOGETHER = most_together(RUNS | TRIALS, SITE)

if DEFINITION_FROM_SUBMITTER:
    TRAINING = EVALUATION = ATTENTION = THEORY = {}
else:
    COSTS = costs_of((RUNS | TRIALS).values(), Path(RESULTS, "costs.json"))
    TRAINING = requests.training_requests(RESOLVED.trained | TRIALS, COSTS, SITE)
    EVALUATION = requests.evaluation_requests(RUNS | TRIALS, COSTS, STUDY, SITE)
    ATTENTION = requests.attention_requests(RUNS, COSTS, STUDY, SITE)
    THEORY = requests.theory_requests(THEORY_TABLES, SITE)


def priority_of(requested, name):
    """Seconds that a job takes, so that the long ones come first."""
    return math.ceil(requested[name].seconds) if requested else 0


def resources_for(requested, wildcard="run"):
    """Resources of a rule's jobs, more with each attempt: mem_mb, runtime, seconds, share, together.

    ``seconds``, ``share`` (in millionths of a GPU, or of the cores of a Slurm job) and
    ``together`` (the number of a group, whose first job trains all of it) decide which jobs share
    a Slurm job; ``runtime`` (minutes) counts where each has its own.
    """
    if not requested:
        return {}

    def of(value):
        return lambda wildcards, attempt: value(
            requested[getattr(wildcards, wildcard)], attempt
        )

    return {
        "mem_mb": of(lambda request, attempt: attempt * request.mem_mb),
        "runtime": of(
            lambda request, attempt: math.ceil(attempt * request.seconds / 30)
        ),
        "seconds": of(lambda request, attempt: math.ceil(attempt * request.seconds)),
        "share": of(lambda request, attempt: math.floor(1e6 * request.share)),
        "together": of(lambda request, attempt: request.group),
    }
