"""What a training step of each architecture costs at equal size: the study `architectures`.

All are timed in turns within one run, as CPU seconds of one thread, so that what else the machine
does changes little. Writes <output>/architectures.csv: parameters and milliseconds of a step, and
what they are over those of the first architecture at the same depth, with the spread over rounds.
"""

import pandas as pd

from logdepth.config.study import load_study
from logdepth.planning.calibrate import seconds_per_step
from machine import ROOT, machine, output_folder, write, write_machine

ROUNDS = 3
# A step of the slowest takes a tenth of a second.
SECONDS = 1.0


def measure() -> pd.DataFrame:
    """Time one run of each architecture and depth, in turns, ``ROUNDS`` times."""
    study = load_study(ROOT / "config/architectures.yaml")
    runs = {
        (run.model.depth, spec.title): run
        for name, spec in study.experiments.items()
        for run in next(iter(study.trial_runs(name).values()))
    }
    sizes = {
        key: sum(weight.numel() for weight in run.model.build(run.task).parameters())
        for key, run in runs.items()
    }
    rows = [
        (title, depth, number, sizes[depth, title], 1e3 * seconds_per_step([run], SECONDS))
        for number in range(ROUNDS)
        for (depth, title), run in sorted(runs.items(), key=lambda item: item[0][0])
    ]
    return pd.DataFrame(rows, columns=["architecture", "depth", "round", "parameters", "ms_step"])


def over_the_first(measured: pd.DataFrame) -> pd.DataFrame:
    """Return milliseconds and ratios to the first architecture, medians and spread over rounds."""
    first = measured[measured["architecture"] == measured["architecture"].iloc[0]]
    base = measured[["depth", "round"]].merge(first, on=["depth", "round"])["ms_step"]
    return (
        measured.assign(ratio=measured["ms_step"] / base)
        .groupby(["architecture", "depth", "parameters"], sort=False)
        .agg(
            ms_step=("ms_step", "median"),
            ratio=("ratio", "median"),
            ratio_low=("ratio", "min"),
            ratio_high=("ratio", "max"),
        )
        .reset_index()
    )


def main() -> None:
    """Measure and write."""
    folder = output_folder(__doc__)
    about = machine()
    print(about)
    write(folder, {"architectures": over_the_first(measure())})
    write_machine(folder, "architectures", about)


if __name__ == "__main__":
    main()
