"""Prove on a GPU that the GPU path is right, and measure how fast it is.

``python tests/gpu/check.py --out FOLDER`` takes under 8 minutes on a data-centre GPU, writes
FOLDER/check.json, and ends with 1 if anything is wrong. ``--paper MINUTES`` trains models of
config/paper.yaml instead, those of the numbers in ``--groups``, from what FOLDER holds of them and
up to the last step or for so long; FOLDER then holds their checkpoints, in files of 16 MiB.
``--take`` unpacks them into results/paper, and ``make STUDY=paper`` goes on from there.

It needs PyTorch 2.11 or newer, this clone, and the packages in NEEDED, pure or binary wheels
without dependencies on a GPU: no Snakemake, no network.
"""

import argparse
import importlib.util
import io
import json
import multiprocessing
import os
import signal
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr
from math import isfinite
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("torch", "numpy", "pandas", "pydantic", "rich", "ruamel.yaml")
OLDEST = (2, 11)  # of torch
PART_BYTES = 16 * 2**20
MOST_PARTS = 8
# Of a benchmark: steps that are timed, at least, and about how long.
SECONDS = 1.5

if missing := [name for name in NEEDED if importlib.util.find_spec(name.split(".")[0]) is None]:
    sys.exit(f"check.py: no {', '.join(missing)}; expected them installed: pip install, or wheels")
sys.path.insert(0, str(ROOT / "workflow"))

import torch  # noqa: E402

if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST:
    sys.exit(f"check.py: torch {torch.__version__}; expected {'.'.join(map(str, OLDEST))} or newer")

from logdepth import tasks  # noqa: E402
from logdepth.config.run import Run  # noqa: E402
from logdepth.models.gpt2 import Gpt2  # noqa: E402
from logdepth.models.softmax import Softmax  # noqa: E402
from logdepth.planning.groups import groups as groups_of  # noqa: E402
from logdepth.planning.measured import shape_name  # noqa: E402
from logdepth.recipes.base import Recipe  # noqa: E402
from logdepth.recipes.muon import MuonRecipe  # noqa: E402
from logdepth.recipes.paper import PaperRecipe  # noqa: E402
from logdepth.tasks.hop import Hop  # noqa: E402
from logdepth.training.checkpoint import CheckpointStore  # noqa: E402
from logdepth.training.interrupts import InterruptedTraining  # noqa: E402
from logdepth.training.loop import train_together  # noqa: E402
from logdepth.training.replay import MOST, Replayed  # noqa: E402
from logdepth.training.steps import Steps  # noqa: E402


def runs_of(recipe: Recipe, depth: int, count: int, *, toy: bool, heads: int = 4) -> list[Run]:
    """Return runs of the paper's size, or of a toy's, that differ in their seed."""
    task = Hop(context=12, max_k=2) if toy else Hop(context=99, max_k=16)
    width = heads * (8 if toy else 32)
    model = (Gpt2 if recipe.recipe == "paper" else Softmax)(depth=depth, heads=heads, width=width)
    return [Run(task=task, model=model, training=recipe, seed=seed) for seed in range(count)]


def same(a: Any, b: Any) -> bool:
    """Whether two states are equal to the bit, on whatever devices."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a.cpu(), b.cpu())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def check_data(device: torch.device) -> str:
    """Every task draws on the device what it draws on a CPU, to the bit."""
    for name in tasks.names():
        task = tasks.settings(name)()
        for step in range(3):
            there, here = (task.batch(1, step, 64, device=d) for d in (device, torch.device("cpu")))
            if not same(list(vars(there).values()), list(vars(here).values())):
                raise AssertionError(f"{name}: step {step} differs")
    return f"{len(tasks.names())} tasks, 3 batches of each"


def check_recorded(device: torch.device, *, toy: bool) -> str:
    """Steps that are recorded and replayed are the steps, to the bit."""
    if device.type != "cuda":
        return "not on a CPU, which records nothing"
    for recipe in (PaperRecipe(steps=60), MuonRecipe(steps=200)):
        runs = runs_of(recipe, 3, 2, toy=toy)
        plain, recorded = Steps(runs, device), Steps(runs, device)
        replayed = Replayed(recorded.take)
        for _ in range(60):
            plain.take()
        replayed(60)
        if not same(plain.state(1), recorded.state(1)):
            raise AssertionError(f"{recipe.recipe}: differs after 60 steps")
    return "paper and muon recipes, 60 steps, two runs at once"


def check_together(device: torch.device, *, toy: bool) -> str:
    """Runs trained together are what they are alone: float64 to 1e-10 after 20 steps."""
    found = []
    for dtype, bound in ((torch.float64, 1e-10), (torch.float32, None)):
        torch.set_default_dtype(dtype)
        try:
            batch = 4 if toy else 32
            for recipe in (
                PaperRecipe(steps=2000, batch=batch),
                MuonRecipe(steps=200, batch=batch),
            ):
                runs = runs_of(recipe, 2 if toy else 3, 3, toy=toy)
                whole = Steps(runs, device)
                alone = [Steps([run], device) for run in runs]
                for steps in (whole, *alone):
                    for _ in range(20):
                        steps.take()
                difference = max(
                    float((weight - one.networks[0].state_dict()[name]).abs().max())
                    for place, one in enumerate(alone)
                    for name, weight in whole.networks[place].state_dict().items()
                )
                if bound and difference > bound:
                    raise AssertionError(f"{recipe.recipe}: {difference:.1e} in float64")
                found.append(f"{recipe.recipe} {str(dtype)[6:]} {difference:.0e}")
        finally:
            torch.set_default_dtype(torch.float32)
    return "largest difference of a weight after 20 steps: " + ", ".join(found)


def check_resume(device: torch.device, *, toy: bool) -> str:
    """Stopped and started again, runs end in the bits of runs that were not stopped."""
    runs = runs_of(PaperRecipe(steps=200, batch=4 if toy else 32, warmup=10), 2, 2, toy=toy)
    with tempfile.TemporaryDirectory() as folder:

        def stores(name: str) -> list[CheckpointStore]:
            return [CheckpointStore(Path(folder, name, str(run.seed)), "check") for run in runs]

        whole = trained(runs, device, stores("whole"))
        stops = 0
        for seconds in (0.3, 0.6, 0.9, 1.2):
            try:
                with stopped_after(seconds):
                    trained(runs, device, stores("cut"))
            except InterruptedTraining:
                stops += 1
        cut = trained(runs, device, stores("cut"))
    for one, other in zip(whole, cut, strict=True):
        if not same(one.model.state_dict(), other.model.state_dict()):
            raise AssertionError("differs after being stopped")
        if not (one.steps.equals(other.steps) and one.by_k.equals(other.by_k)):
            raise AssertionError("its tables differ after being stopped")
    return f"stopped {stops} times in 200 steps"


def trained(runs: list[Run], device: torch.device, stores: list[CheckpointStore]) -> list[Any]:
    """Train to the end, quietly."""
    with redirect_stderr(io.StringIO()):
        return train_together(runs, device=device, checkpoints=stores, deterministic=False)


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Ask this process to stop its training after some seconds."""
    asked = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it may come too early or too late
    asked.start()
    try:
        yield
    finally:
        asked.cancel()
        signal.signal(signal.SIGUSR1, before)


def rate(
    runs: list[Run],
    device: torch.device,
    *,
    recorded: bool,
    ready: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Return steps a second, each of all runs, and the most memory that was allocated, in GB.

    ``ready`` is called between warming up and what is timed.
    """
    steps = Steps(runs, device)
    on_gpu = device.type == "cuda"
    advance: Callable[[int], None] = Replayed(steps.take) if recorded else plainly(steps)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    advance(3 + 2 * MOST if on_gpu else 1)
    if on_gpu:
        torch.cuda.synchronize()
    ready()
    taken, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        advance(MOST if on_gpu else 1)
        taken += MOST if on_gpu else 1
        if on_gpu:
            torch.cuda.synchronize()
    memory = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0
    return {"steps_per_second": taken / elapsed, "memory_gb": memory}


def plainly(steps: Steps) -> Callable[[int], None]:
    """Return what takes steps one kernel after the other."""

    def advance(times: int) -> None:
        for _ in range(times):
            steps.take()

    return advance


def measure(device: torch.device, *, toy: bool) -> list[dict[str, Any]]:
    """Return steps a second by shape, runs as one network, processes, and way of launching."""
    many = 4000 if toy else 20_000  # more than can be taken meanwhile
    paper = PaperRecipe(steps=many, samples=1000)
    muon = MuonRecipe(steps=many, batch=32, samples=1000)
    # Recipe, heads, and how many runs: as many as there are of each depth in the paper.
    cases: list[tuple[Recipe, int, int]] = [(paper, 4, 4), (paper, 8, 4)]
    for precision in ("float32", "tf32", "bfloat16"):
        cases.append((muon.changed({"precision": precision}), 4, 8))
    if toy:
        cases = [(recipe, heads, 2) for recipe, heads, _ in cases if heads == 4]
    depths = (2,) if toy else (2, 3, 4, 5, 6)
    on_gpu = device.type == "cuda"
    rows: list[dict[str, Any]] = []

    def add(runs: list[Run], processes: int, recorded: bool, found: dict[str, float]) -> None:
        recipe, model = runs[0].training, runs[0].model
        row = {"recipe": recipe.recipe, "depth": model.depth, "width": model.width}
        row |= {"precision": recipe.precision, "runs": len(runs), "processes": processes}
        rows.append(row | {"recorded": recorded} | found | {"shape": shape_name(runs[0])})
        print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)

    for depth in depths:
        for recipe, heads, most in cases:
            # What recording gains is seen of one run.
            for count, recorded in sorted({(1, False), (1, on_gpu), (most, on_gpu)}):
                runs = runs_of(recipe, depth, count, toy=toy, heads=heads)
                add(runs, 1, recorded, rate(runs, device, recorded=recorded))
    torch.cuda.empty_cache()  # room for the others
    for processes in sorted({most for *_, most in cases}):
        alone = [
            runs_of(recipe, depth, 1, toy=toy, heads=heads)
            for depth in depths
            for recipe, heads, most in cases
            if most == processes
        ]
        try:
            for runs, found in zip(alone, rates_beside(alone, device, processes), strict=True):
                add(runs, processes, on_gpu, found)
        except RuntimeError as error:  # no room on the GPU, for instance
            print(f"{processes} processes at once: not measured: {error}", flush=True)
    return rows


def rates_beside(
    cases: list[list[Run]], device: torch.device, processes: int
) -> Iterator[dict[str, float]]:
    """Yield, for runs that so many processes train at once, the mean of what ``rate`` returns."""
    method = multiprocessing.get_context("forkserver")
    method.set_forkserver_preload(["torch"])
    barrier = method.Barrier(processes, timeout=120)
    with ProcessPoolExecutor(processes, method, _meet_at, (barrier,)) as pool:
        for runs in cases:
            asked = [pool.submit(rate_beside, runs, str(device)) for _ in range(processes)]
            found = [each.result() for each in asked]
            yield {name: sum(each[name] for each in found) / processes for name in found[0]}


_meeting: list[Any] = []


def _meet_at(barrier: Any) -> None:
    _meeting.append(barrier)


def rate_beside(runs: list[Run], name: str) -> dict[str, float]:
    """Return the rate of runs on a device while all processes of the pool measure it."""
    device, (barrier,) = torch.device(name), _meeting
    try:
        found = rate(runs, device, recorded=device.type == "cuda", ready=barrier.wait)
        barrier.wait()  # none goes on to the next while another is measured
    except Exception:
        barrier.abort()  # the others wait no longer
        raise
    return found


def paper_hours(rows: list[dict[str, Any]]) -> float:
    """Return how long ``--paper`` takes for all its groups, if none takes longer than four runs."""
    found = {
        (row["shape"], row["runs"]): row["steps_per_second"]
        for row in rows
        if row["recorded"] and row["processes"] == 1
    }
    seconds = 0.0
    for group in paper_groups():
        rate = found[shape_name(group[0]), 1 if len(group) == 1 else 4]
        seconds += group[0].training.trained_steps / rate
    return seconds / 3600


def paper_groups() -> list[list[Run]]:
    """Return the 25 runs of the paper in groups that are trained together, the cheap ones first."""
    from logdepth.config.study import load_study

    def cost(group: list[Run]) -> tuple[int, list[str]]:
        first = group[0].model
        return first.depth * first.width**2 * len(group), [run.identifier for run in group]

    runs = load_study(ROOT / "config/paper.yaml").trained_runs().values()
    return sorted(groups_of(runs, lambda _: 8), key=cost)


def train_paper(out: Path, groups: list[list[Run]], minutes: float, device: torch.device) -> None:
    """Train groups of runs for some minutes, from what ``out`` holds of them and back into it."""
    end = time.monotonic() + 60 * minutes
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        unpack(out, Path(work))
        for number, group in enumerate(groups):
            if time.monotonic() >= end:
                break
            stores = [store_of(run, Path(work), group, device) for run in group]
            step, total = advance(group, stores, device, end), group[0].training.trained_steps
            print(f"{number}: {len(group)} runs, step {step} of {total}", flush=True)
            pack(Path(work), out)


def store_of(run: Run, folder: Path, group: list[Run], device: torch.device) -> CheckpointStore:
    """Return where checkpoints of a run lie, which say what it was trained with and on."""
    from logdepth import jobs

    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    note = {"device": name, "torch": str(torch.__version__)}
    if len(group) > 1:
        note["together"] = [other.identifier for other in group]
    return CheckpointStore(folder / run.identifier, jobs.train(run).definition(), note)


def advance(
    group: list[Run], stores: list[CheckpointStore], device: torch.device, end: float
) -> int:
    """Train runs to their last step, or until a time; save them, and return the step."""
    steps = Steps(group, device)
    saved = [found for store in stores if (found := store.latest())]
    step = saved[0]["step"] if saved else 0
    if saved:
        steps.load(step, [found["state"] for found in saved])
    recorded = device.type == "cuda"
    take: Callable[[int], None] = Replayed(steps.take) if recorded else plainly(steps)
    total, ends = group[0].training.trained_steps, sorted(steps.metrics.ends)
    while step < total and time.monotonic() < end:
        until = next(last for last in ends if last > step)
        take(until - step)
        step = until
        losses, _ = steps.metrics.close_interval(step)
        if bad := [
            run.identifier for run, loss in zip(group, losses, strict=True) if not isfinite(loss)
        ]:
            sys.exit(f"check.py: {bad[0]}: the loss is not finite at step {step}")
    for place, store in enumerate(stores):
        store.save(step, steps.state(place))
    return step


def pack(folder: Path, out: Path) -> None:
    """Write the newest checkpoint of every run into files of 16 MiB.

    Raises:
        SystemExit: there would be more than 8.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for run in sorted(folder.iterdir()):
            newest = max(run.glob("step-*.pt"))
            archive.add(newest, f"{run.name}/{newest.name}")
    data = content.getvalue()
    parts = [data[i : i + PART_BYTES] for i in range(0, len(data), PART_BYTES)]
    if len(parts) > MOST_PARTS:
        sys.exit(f"check.py: {len(parts)} files; expected fewer --groups at once")
    for number in range(MOST_PARTS):
        path = out / f"part-{number}"
        if number < len(parts):
            path.write_bytes(parts[number])
        else:
            path.unlink(missing_ok=True)


def unpack(out: Path, folder: Path) -> list[str]:
    """Lay the checkpoints that a folder of parts holds where they go, and return their names."""
    parts = sorted(out.glob("part-*"))
    if not parts:
        return []
    with tarfile.open(fileobj=io.BytesIO(b"".join(p.read_bytes() for p in parts))) as archive:
        # Python has the filter from 3.11.4 on; the names are those that ``pack`` wrote.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
        return archive.getnames()


def main() -> int:
    """Do what the command line asks for; return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of what is found")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try the script")
    parser.add_argument("--toy", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--paper", type=float, metavar="MINUTES", help="train the paper's models")
    parser.add_argument("--groups", default="", help="their numbers, such as 0,1,2; all of them")
    parser.add_argument("--take", action="store_true", help="unpack models into results/paper")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.take:
        names = unpack(asked.out, ROOT / "results/paper/checkpoints")
        print(f"{len(names)} checkpoints are in results/paper/checkpoints; next: make STUDY=paper")
        return 0
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(f"check.py: --device {asked.device}: torch {torch.__version__} sees no GPU here")
    torch.set_deterministic_debug_mode("error")
    if asked.paper is not None:
        groups = paper_groups()
        numbers = [int(n) for n in asked.groups.split(",")] if asked.groups else range(len(groups))
        train_paper(asked.out, [groups[number] for number in numbers], asked.paper, device)
        return 0
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "torch": str(torch.__version__),
        "checks": {},
    }
    checks: dict[str, Callable[[], str]] = {
        "data are those of a CPU": lambda: check_data(device),
        "recorded steps are the steps": lambda: check_recorded(device, toy=asked.toy),
        "together is alone": lambda: check_together(device, toy=asked.toy),
        "stopped is not stopped": lambda: check_resume(device, toy=asked.toy),
    }
    failed = 0
    for name, check in checks.items():
        try:
            found["checks"][name] = f"ok: {check()}"
        except Exception as error:  # whatever it is, the others are still to be seen
            failed = 1
            found["checks"][name] = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name}: {found['checks'][name]}", flush=True)
    torch.set_deterministic_debug_mode("default")
    found["rates"] = measure(device, toy=asked.toy)
    if device.type == "cuda" and not asked.toy:
        found["paper_hours"] = paper_hours(found["rates"])
        print(f"the paper's 25 models: {60 * found['paper_hours']:.0f} minutes")
    (asked.out / "check.json").write_text(json.dumps(found, indent=1) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
