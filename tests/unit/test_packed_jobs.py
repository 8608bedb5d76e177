"""The executor slurm-packed, as far as it needs no Slurm: its worker, its packs, its refusals."""

import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

import snakemake_executor_plugin_slurm_packed as plugin
from interruption import at_step
from logdepth.cli.main import main
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.files import sha256_of
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.planning.site import Site
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.tasks.hop import Hop
from snakemake_executor_plugin_slurm_packed import worker
from snakemake_executor_plugin_slurm_packed.options import options_of, try_options

WORKER = Path(worker.__file__)


@pytest.fixture
def pack(tmp_path):
    """Return a function that writes the scripts of a pack."""

    def write(*scripts):
        for number, script in enumerate(scripts):
            (tmp_path / f"{number}.sh").write_text(script)
        return tmp_path

    return write


def work(folder, at_once=2):
    command = [sys.executable, WORKER, folder, str(at_once)]
    return subprocess.run(command, capture_output=True, text=True)


def done(folder):
    return sorted(path.name for path in folder.glob("*.done"))


def test_each_script_has_an_outcome_of_its_own(pack):
    folder = pack("echo one", "echo two; exit 3", "echo three")
    result = work(folder)
    assert result.returncode == 1
    assert done(folder) == ["0.done", "2.done"]
    assert "1.sh ended with 3" in result.stdout
    assert (folder / "1.log").read_text() == "two\n"


def test_a_requeued_pack_goes_on_with_those_that_are_not_done(pack):
    folder = pack("echo again >> first", "true")
    (folder / "0.done").touch()
    assert work(folder).returncode == 0
    assert not (folder / "first").exists()
    assert done(folder) == ["0.done", "1.done"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_than_asked_for_run_at_once(pack, at_once):
    # Each waits until as many have started as may, then for one too many.
    script = (
        "cd {folder}; mkdir $$.on; "
        "until [ -e full ] || [ $(ls -d *.on | wc -l) -ge {at_once} ]; do sleep 0.01; done; "
        "touch full; sleep 0.2; ls -d *.on | wc -l >> seen; rmdir $$.on"
    )
    folder = pack(*["true"] * 6)
    for number in range(6):
        (folder / f"{number}.sh").write_text(script.format(folder=folder, at_once=at_once))
    assert work(folder, at_once).returncode == 0
    assert max(map(int, (folder / "seen").read_text().split())) == at_once


def test_told_to_stop_it_tells_all_below_and_waits_for_them(pack):
    stops_slowly = "import signal,sys,time\n" + (
        "def end(*_):\n time.sleep(0.5); open(sys.argv[1], 'w'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nopen(sys.argv[2], 'w')\nsignal.pause()\n"
    )
    folder = pack("true")
    (folder / "slow.py").write_text(stops_slowly)
    command = f"{sys.executable} {folder}/slow.py {folder}/saved {folder}/ready"
    # A shell between the worker and the training, as Snakemake has; it dies of the signal itself.
    (folder / "0.sh").write_text(f"sh -c '{command}; true'")
    (folder / "1.sh").write_text(f"touch {folder}/never")
    worker = subprocess.Popen([sys.executable, WORKER, folder, "1"], stdout=subprocess.DEVNULL)
    while not (folder / "ready").exists():
        assert worker.poll() is None
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 128 + signal.SIGTERM
    assert (folder / "saved").exists()
    assert not (folder / "never").exists()
    assert done(folder) == []


# A run, and its threads.
PACKED = [
    (Softmax(depth=2, heads=2, width=32), MuonRecipe(steps=8, batch=8, warmup=2), 1),
    (Gpt2(depth=1, heads=2, width=32), PaperRecipe(steps=8, batch=8, warmup=2), 2),
]


def packed_job(folder, at_once, patch):
    """Start a Slurm job of the packed runs, whose scripts are forks that have imported all."""
    forks = multiprocessing.get_context("fork")

    def start(script, _):
        patch.setattr(sys, "argv", ["logdepth", *shlex.split(script.read_text())])
        process = forks.Process(target=main)
        process.start()
        return process

    def batch():
        os.setpgid(0, 0)
        # Without waiting for those it has started.
        os._exit(worker.main(folder, at_once))

    task = Hop(context=10, alphabet=4, max_k=2)
    for number, (model, recipe, threads) in enumerate(PACKED):
        run = Run(task=task, model=model, training=recipe, seed=0).model_dump_json()
        words = ["--run", run, "--output", folder / f"run-{number}", "--threads", threads]
        script = shlex.join(map(str, ["train", "--device", "cpu", *words]))
        (folder / f"{number}.sh").write_text(script)
    patch.setattr(worker, "_start", start)
    process = forks.Process(target=batch)
    process.start()
    return process


def test_runs_that_are_stopped_and_requeued_together_end_in_the_bits_of_runs_alone(
    tmp_path, monkeypatch
):
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()

    def wait():
        (together / f"{os.getpid()}.waits").touch()
        while not (together / "told").exists():
            time.sleep(0.01)

    with monkeypatch.context() as patch:
        at_step(patch, 3, wait)
        stopped = packed_job(together, 2, patch)
        while len(list(together.glob("*.waits"))) < 2:
            assert stopped.is_alive()
            time.sleep(0.01)
        # Slurm tells every process of a job; the worker then tells them again.
        os.killpg(stopped.pid, signal.SIGTERM)
        (together / "told").touch()
        stopped.join()
        # Then it ends what is left of the job.
        with suppress(ProcessLookupError):
            os.killpg(stopped.pid, signal.SIGKILL)
        assert stopped.exitcode == 128 + signal.SIGTERM
    assert done(together) == []
    for number in range(2):
        assert list(together.glob(f"run-{number}/checkpoints/step-000000003-*"))
    for folder, at_once in ((together, 2), (alone, 1)):
        job = packed_job(folder, at_once, monkeypatch)
        job.join()
        assert job.exitcode == 0
        assert done(folder) == ["0.done", "1.done"]
    files = [path.relative_to(alone) for path in alone.glob("run-*/*.*")]
    assert len(files) == 8
    for file in files:
        assert sha256_of(alone / file) == sha256_of(together / file), file


def test_the_mount_of_the_image_is_deaf_to_a_stop(tmp_path, monkeypatch):
    real = tmp_path / "squashfuse_ll"
    real.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status\necho $*\n")
    real.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    environment = worker._environment(tmp_path / "bin")
    done = subprocess.run(
        "squashfuse_ll some.sif", shell=True, env=environment, capture_output=True, text=True
    )
    ignored, arguments = done.stdout.splitlines()
    assert int(ignored.split()[1], 16) & 1 << (signal.SIGTERM - 1)
    assert arguments == "some.sif"


def executor(tmp_path, **site):
    """An executor without a workflow, whose jobs are reported to lists."""
    made = plugin.Executor.__new__(plugin.Executor)
    made._site = Site(**site)
    made._numbers = iter(range(1, 100))
    made._packs = tmp_path
    made._complete = set()
    made.workflow = SimpleNamespace(scheduler=SimpleNamespace())
    made.ended = []
    made.workflow.scheduler.finish_callback = lambda job: made.ended.append((job, "done"))
    made.workflow.scheduler.error_callback = lambda job: made.ended.append((job, "failed"))
    made.print_job_error = lambda *_, **__: None
    return made


def job(number, rule="train", **resources):
    known = {"mem_mb": 1000, "runtime": 10, "seconds": 300, "share": 250_000} | resources
    return SimpleNamespace(
        jobid=number, rule=SimpleNamespace(name=rule), threads=1, resources=plugin.Resources(known)
    )


def test_jobs_with_the_same_options_share_a_job_and_others_do_not(tmp_path):
    jobs = [job(n, gpu=1) for n in range(4)] + [job(4, rule="evaluate"), job(5, rule="attention")]
    packs = executor(tmp_path)._pack(jobs)
    assert {packed.jobid for packed in packs} == {"0,1,2,3", "4,5"}
    on_gpu = next(packed for packed in packs if packed.resources.gpu)
    assert on_gpu.threads == 4
    assert on_gpu.resources.mem_mb == 4000
    assert on_gpu.name == "train"
    assert next(p for p in packs if p is not on_gpu).name == "attention+evaluate"


def test_jobs_that_train_as_one_network_follow_one_another_in_one_slurm_job(tmp_path):
    jobs = [job(n, together=1 + n // 3, seconds=5000, gpu=1) for n in range(6)]
    packs = executor(tmp_path, cpus_per_gpu=1)._pack(jobs)
    assert sorted(packed.jobid for packed in packs) == ["0,1,2", "3,4,5"]
    assert {packed.threads for packed in packs} == {1}
    (both,) = executor(tmp_path)._pack(jobs)
    # One process of each, and both on the GPU; then those that find nothing left to do.
    assert (both.jobid, both.threads) == ("0,3,1,2,4,5", 2)


def test_a_site_names_partition_account_qos_and_mail(tmp_path):
    site = {"partition": "gpu", "cpu_partition": "cpu", "account": "lab", "qos": "night"}
    site |= {"gpu_model": "a100", "mail": "me@example.org", "extra": "--exclude=n7"}
    gpu, cpu = executor(tmp_path, **site)._pack([job(0, gpu=1), job(1, rule="evaluate")])
    assert gpu.resources.slurm_partition == "gpu"
    assert cpu.resources.slurm_partition == "cpu"
    assert (gpu.resources.gpu_model, cpu.resources.gpu_model) == ("a100", None)
    for packed in (gpu, cpu):
        assert packed.resources.slurm_account == "lab"
        assert packed.resources.qos == "night"
        for option in ("--mail-user=me@example.org", "--mail-type=FAIL", "--exclude=n7"):
            assert option in packed.resources.slurm_extra


def test_a_resource_of_the_rule_wins_over_the_site(tmp_path):
    (packed,) = executor(tmp_path, partition="gpu")._pack([job(0, slurm_partition="other")])
    assert packed.resources.slurm_partition == "other"


def test_where_one_of_a_pack_failed_the_others_are_finished(tmp_path):
    made = executor(tmp_path)
    (packed,) = made._pack([job(n) for n in range(3)])
    packed.folder.mkdir()
    for number in range(3):
        (packed.folder / f"{number}.sh").touch()
    infos = plugin._members(SubmittedJobInfo(packed, external_jobid="7"))
    for number in (0, 2):
        (packed.folder / f"{number}.done").touch()
    for info in infos:
        made.report_job_error(info, msg="SLURM-job '7' failed")
    assert [(ended.jobid, how) for ended, how in made.ended] == [
        (0, "done"),
        (1, "failed"),
        (2, "done"),
    ]
    # What the failed one printed is kept.
    assert packed.folder.is_dir()


@pytest.mark.parametrize("reported", ["report_job_success", "report_job_error"])
def test_all_of_a_pack_have_succeeded_whatever_slurm_says_of_the_job(tmp_path, reported):
    made = executor(tmp_path)
    (packed,) = made._pack([job(n) for n in range(2)])
    packed.folder.mkdir()
    for number in range(2):
        (packed.folder / f"{number}.sh").touch()
        (packed.folder / f"{number}.done").touch()
    for info in plugin._members(SubmittedJobInfo(packed, external_jobid="7")):
        getattr(made, reported)(info)
    assert [how for _, how in made.ended] == ["done", "done"]
    assert not packed.folder.exists()


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Return a function that puts an sbatch on PATH that answers and exits as told."""

    def write(answer, code):
        path = tmp_path / "sbatch"
        path.write_text(
            f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho '{answer}' >&2\nexit {code}"
        )
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "asked"

    return write


def test_what_slurm_refuses_is_one_line(sbatch):
    sbatch("allocation failure: Invalid partition name specified", 1)
    with pytest.raises(UserError, match="Invalid partition name specified") as error:
        try_options(Site(partition="nosuch"), gpu=True)
    (line,) = error.value.args
    assert "\n" not in line
    assert "--partition=nosuch" in line
    assert "site.yaml" in line


def test_what_slurm_takes_is_submitted_with_the_same_options(sbatch):
    asked = sbatch("Job 1 to start", 0)
    site = Site(account="lab", gpu_model="a100")
    try_options(site, gpu=True)
    assert "--test-only" in asked.read_text()
    assert "--account=lab" in asked.read_text()
    assert "--gpus=a100:1" in asked.read_text()
    assert options_of(site, gpu=False)["slurm_account"] == "lab"


def test_without_sbatch_there_is_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no such command"):
        try_options(Site(), gpu=False)
