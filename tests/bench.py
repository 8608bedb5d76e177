"""Speed, as ratios between things timed in turns within this one run: ``make bench``."""

import io
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import torch
import transformers
from torch.nn import functional as F

from logdepth.config.run import FastModel, FastRecipe, PaperModel, Run, Task
from logdepth.models.transformer import Transformer, architecture
from logdepth.tasks.hop import HopTask
from logdepth.training.checkpoint import CheckpointStore
from logdepth.training.loop import train

ROUNDS = 5


def compare(title: str, unit: str, rivals: dict[str, Callable[[], float]]) -> None:
    """Time the rivals in turns; print the median speed of each, and over the first one's."""
    speeds: dict[str, list[float]] = {name: [] for name in rivals}
    for function in rivals.values():
        function()
    for _ in range(ROUNDS):
        for name, function in rivals.items():
            speeds[name].append(function())
    print(f"\n{title}")
    base = statistics.median(next(iter(speeds.values())))
    for name, values in speeds.items():
        median = statistics.median(values)
        spread = f"{min(values):.3g} to {max(values):.3g}"
        print(f"  {name:34s} {median:10.4g} {unit} ({spread}), {median / base:6.2f} x")


def rate(function: Callable[[], object], amount: float, seconds: float = 1.0) -> float:
    """Return how much a second of calls to ``function`` does, each doing ``amount``."""
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        function()
        calls += 1
    return calls * amount / passed


def one_by_one(size: int) -> list[list[int]]:
    """The task written down sequence by sequence, as a plain loop."""
    rows = []
    for _ in range(size):
        k, string = random.randint(0, 16), [random.randrange(4)]
        while len(string) < 99:
            string.append((string[-1] + random.randint(1, 3)) % 4)
        last: dict[int, int] = {}
        jump = []
        for i, symbol in enumerate(string):
            jump.append(last.get(symbol, 99))
            last[symbol] = i + 1
        jump.append(99)
        targets = []
        for i in range(99):
            for _ in range(k):
                i = jump[i]
            targets.append(string[i] if i < 99 else -1)
        rows.append(targets)
    return rows


def training_step(model: torch.nn.Module, classes: int, optimizer: torch.optim.Optimizer) -> None:
    """One AdamW step on a batch of the paper's size."""
    batch = HopTask(99, 4, 16).batch(0, 0, 32)
    out = model(batch.tokens)
    logits = out if isinstance(out, torch.Tensor) else out.last_hidden_state
    F.cross_entropy(logits.reshape(-1, classes), batch.targets.reshape(-1)).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def main() -> None:
    """Run all benchmarks on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = HopTask(100, 4, 16)
    compare(
        "Data: hop_k, N=100, 17 values of k, one thread",
        "sequences/s",
        {
            "plain loop": lambda: rate(lambda: one_by_one(64), 64),
            "batch of 64": lambda: rate(lambda: task.batch(0, 0, 64), 64),
            "batch of 1024": lambda: rate(lambda: task.batch(0, 0, 1024), 1024),
        },
    )

    paper = Transformer(architecture(Task(), PaperModel(form="paper", depth=4)))
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=100, n_embd=128, n_layer=4, n_head=4
    )
    reference = transformers.GPT2Model(config)
    models = {"transformers.GPT2Model": reference.train(), "paper's form": paper.train()}
    steps = {}
    for name, model in models.items():
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        steps[name] = lambda m=model, o=optimizer: rate(lambda: training_step(m, 128, o), 1, 2)
    compare("Training: L=4, m=128, H=4, N=99, batch 32, dropout 0.1, one thread", "steps/s", steps)

    def fast(precision: str) -> float:
        run = Run(
            task=Task(context=49, max_hops=8),
            model=FastModel(form="fast", depth=3),
            training=FastRecipe(recipe="fast", steps=60, warmup=5, precision=precision),
            seed=0,
        )
        with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            store = CheckpointStore(Path(folder), "bench")
            train(run, device=torch.device("cpu"), checkpoints=store)
            return 60 / (time.perf_counter() - start)

    compare(
        "Training: laptop study, blocks with an MLP, L=3, one thread",
        "steps/s",
        {name: lambda p=name: fast(p) for name in ("float32", "bfloat16")},
    )


if __name__ == "__main__":
    main()
