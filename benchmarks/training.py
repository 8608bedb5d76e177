"""How fast the paper's model trains: ours against what people write, in turns within one run.

All times are CPU seconds of one thread, so that what else the machine does changes little. Writes
<output>/training.csv (every measurement), training_ratios.csv (against the first rival, with
the spread over rounds), training.pdf and .png, and training.json (the machine).
"""

import io
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import transformers
from matplotlib import pyplot as plt
from torch.nn import functional as F

from logdepth.config.run import Run
from logdepth.devices import bfloat16_factor
from logdepth.figures.style import COLUMN_INCHES, MARKERS
from logdepth.models.base import Model
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.planning.cost import shape_of
from logdepth.planning.count import count
from logdepth.recipes.base import Recipe
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train
from logdepth.training.metrics import Metrics
from machine import machine, output_folder, write, write_machine

SEED = 0
DEPTHS = (2, 3, 4, 5, 6)
ROUNDS = 3
BATCH = 32
WIDTH = 128
TASK = Hop()
CPU = torch.device("cpu")

Batch = tuple[torch.Tensor, torch.Tensor]
Steps = Callable[[int], float]


class Rival(NamedTuple):
    """What is compared: ``steps(n)`` takes n steps and returns their seconds."""

    run: Run
    steps: Steps

    @property
    def flops(self) -> int:
        """FLOPs of the matrix products of a step."""
        return count(shape_of(self.run)).step_flops


def one_by_one(size: int) -> Batch:
    """Return a batch of hop_k as a plain loop over sequences makes it."""
    length = TASK.context - 1
    tokens, targets = [], []
    for _ in range(size):
        k = random.randint(0, TASK.max_k)
        string = [random.randrange(TASK.alphabet)]
        while len(string) < length:
            string.append((string[-1] + random.randint(1, TASK.alphabet - 1)) % TASK.alphabet)
        last: dict[int, int] = {}
        jump = []
        for i, symbol in enumerate(string):
            jump.append(last.get(symbol, length))
            last[symbol] = i + 1
        jump.append(length)
        answers = [TASK.blank]
        for i in range(length):
            for _ in range(k):
                i = jump[i]
            answers.append(TASK.first_symbol + string[i] if i < length else TASK.bottom)
        tokens.append([k] + [TASK.first_symbol + symbol for symbol in string])
        targets.append(answers)
    return torch.tensor(tokens), torch.tensor(targets)


def ours_at(step: int) -> Batch:
    """Return a batch of the project's own stream."""
    batch = TASK.batch(SEED, step, BATCH)
    return batch.tokens, batch.targets


def gpt2(depth: int, batch_at: Callable[[int], Batch]) -> Steps:
    """Return steps of transformers.GPT2Model with AdamW, all at its defaults: dropout 0.1."""
    config = transformers.GPT2Config(
        vocab_size=30,
        n_positions=TASK.context + 1,
        n_embd=WIDTH,
        n_layer=depth,
        n_head=4,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = transformers.GPT2Model(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def steps(count: int) -> float:
        start = time.process_time()
        for step in range(count):
            tokens, targets = batch_at(step)
            logits = model(tokens).last_hidden_state
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.process_time() - start

    return steps


def ours(run: Run) -> Steps:
    """Return steps of the project's own training loop, between its first and its last."""

    def steps(count: int) -> float:
        short = run.model_copy(update={"training": run.training.cut(count + 1)})
        ends: list[float] = []
        add = Metrics.add

        def noting(self: Metrics, *arguments: object) -> None:
            add(self, *arguments)
            ends.append(time.process_time())

        Metrics.add = noting
        try:
            with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
                train(short, device=CPU, checkpoints=CheckpointStore(Path(folder), "bench"))
        finally:
            Metrics.add = add
        return ends[-1] - ends[0]

    return steps


def run_of(depth: int, model: Model, recipe: Recipe) -> Run:
    """Return a run of the paper's task at a depth."""
    return Run(
        task=TASK, model=model.model_copy(update={"depth": depth}), training=recipe, seed=SEED
    )


def rivals(depth: int) -> dict[str, Rival]:
    """Return everything that is compared at a depth; the first one is the base of the ratios."""
    recipe, theirs = MuonRecipe(batch=BATCH), PaperRecipe(batch=BATCH)
    own = Softmax(width=WIDTH)
    paper, whole, muon, half = (
        run_of(depth, model, settings)
        for model, settings in (
            (Gpt2(width=WIDTH), theirs),
            (Gpt2(width=WIDTH, dropout=0), theirs),
            (own, recipe),
            (own, recipe.model_copy(update={"precision": "bfloat16"})),
        )
    )
    found = {
        "GPT2Model, Python data": Rival(paper, gpt2(depth, lambda _: one_by_one(BATCH))),
        "GPT2Model, our data": Rival(paper, gpt2(depth, ours_at)),
        "paper recipe": Rival(paper, ours(paper)),
        "paper recipe, no dropout": Rival(whole, ours(whole)),
        "muon recipe": Rival(muon, ours(muon)),
    }
    if bfloat16_factor() < 1:
        found["muon recipe, bfloat16"] = Rival(half, ours(half))
    return found


def peak(seconds: float = 1.0) -> float:
    """Return the FLOP/s of a float32 product that fits a core's cache, one thread."""
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    best, end = float("inf"), time.process_time() + seconds
    while time.process_time() < end:
        start = time.process_time()
        for _ in range(4):
            a @ b
        best = min(best, (time.process_time() - start) / 4)
    return 2 * 512**3 / best


def data_share() -> pd.DataFrame:
    """Return the milliseconds of a batch, of our data and of a plain loop."""

    def milliseconds(function: Callable[[], object]) -> float:
        times = [time.process_time()]
        while times[-1] - times[0] < 1 or len(times) < 5:
            function()
            times.append(time.process_time())
        return 1e3 * float(pd.Series([b - a for a, b in pairwise(times)]).median())

    return pd.DataFrame(
        {
            "data": ["ours", "Python"],
            "ms_batch": [
                milliseconds(lambda: ours_at(0)),
                milliseconds(lambda: one_by_one(BATCH)),
            ],
        }
    )


def measure() -> pd.DataFrame:
    """Time every rival at every depth, in turns, ``ROUNDS`` times; about 1.5 s each."""
    rows = []
    for depth in DEPTHS:
        found = rivals(depth)
        counts = {}
        for name, rival in found.items():
            rival.steps(2)
            counts[name] = max(2, round(1.5 / (rival.steps(2) / 2)))
        for number in range(ROUNDS):
            most = peak(0.3)
            for name, rival in found.items():
                speed = counts[name] / rival.steps(counts[name])
                rows.append((depth, number, name, speed, rival.flops, most))
    columns = ["depth", "round", "rival", "steps_s", "flops_step", "peak_flops"]
    return pd.DataFrame(rows, columns=columns)


def ratios(measured: pd.DataFrame) -> pd.DataFrame:
    """Return speed, ratio to the first rival and share of the peak, with the spread over rounds."""
    first = measured[measured["rival"] == measured["rival"].iloc[0]]
    base = measured[["depth", "round"]].merge(first, on=["depth", "round"])["steps_s"]
    table = measured.assign(
        ratio=measured["steps_s"] / base,
        peak_share=measured["flops_step"] * measured["steps_s"] / measured["peak_flops"],
    )
    return (
        table.groupby(["depth", "rival"], sort=False)
        .agg(
            steps_s=("steps_s", "median"),
            ratio=("ratio", "median"),
            ratio_low=("ratio", "min"),
            ratio_high=("ratio", "max"),
            gflops_step=("flops_step", lambda flops: flops.iloc[0] / 1e9),
            peak_share=("peak_share", "median"),
        )
        .reset_index()
    )


def draw(table: pd.DataFrame, about: dict[str, object], path: Path) -> None:
    """Draw speed against depth, and what the ratio to the first rival is."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * COLUMN_INCHES, 2.8))
    for (rival, part), marker in zip(table.groupby("rival", sort=False), MARKERS, strict=False):
        left.plot(part["depth"], part["steps_s"], marker=marker, label=rival)
        spread = [part["ratio"] - part["ratio_low"], part["ratio_high"] - part["ratio"]]
        right.errorbar(part["depth"], part["ratio"], spread, marker=marker, capsize=2)
    left.set(xlabel="$L$", ylabel="steps/s, one thread", xticks=DEPTHS)
    right.set(xlabel="$L$", ylabel="speed over the first", xticks=DEPTHS)
    left.set_ylim(bottom=0)
    right.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3)
    figure.suptitle(f"{about['cpu']}, {about['instructions']}, torch {about['torch']}", fontsize=7)
    for kind in ("pdf", "png"):
        figure.savefig(path.with_suffix(f".{kind}"), dpi=200)


def main() -> None:
    """Measure, write and draw."""
    folder = output_folder(__doc__)
    random.seed(SEED)
    torch.manual_seed(SEED)
    about = machine() | {"seed": SEED}
    print(about)
    measured = measure()
    table = ratios(measured)
    data = data_share()
    step = 1e3 / table.set_index(["depth", "rival"]).loc[(4, "muon recipe"), "steps_s"]
    data["share_of_a_step_at_L4"] = data["ms_batch"] / step
    write(folder, {"training": measured, "training_ratios": table, "data": data})
    draw(table, about, folder / "training")
    write_machine(folder, "training", about)


if __name__ == "__main__":
    main()
