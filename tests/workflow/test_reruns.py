"""Exactly what changed runs again: each hole that Snakemake leaves has a test."""

import os
import re
import subprocess

from checkout import FIGURES


def test_a_finished_study_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake().stderr


def test_swapped_parameter_values(finished):
    # The rule now gets the very same set of values, under each other's names.
    finished.edit("config/tiny.yaml", "bootstrap: 12, seed: 30", "bootstrap: 30, seed: 12")
    assert finished.planned() == {"fit": 1, "figure_depth_law": 1}


def test_an_edited_module_whose_time_is_kept(finished):
    finished.edit(
        "workflow/logdepth/training/optimizers.py",
        "return step / warmup",
        "return (step + 1) / warmup",
    )
    planned = finished.planned()
    assert planned.pop("train") == 2
    assert planned.pop("evaluate") == 2
    tables = dict.fromkeys(("tabulate", "curves", "describe", "fit"), 1)
    assert planned == tables | {f"figure_{name}": 1 for name in FIGURES}


def test_an_edited_style_redraws_the_figures(finished):
    finished.edit("workflow/logdepth/figures/style.py", '"font.size": 8', '"font.size": 9')
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_an_edited_figure_is_redrawn_alone_and_so_is_one_without_its_record(template, uncommitted):
    # Its figure of the depth law was edited, and drawn again: see the fixture for what ran.
    before, after = template.hashes(), uncommitted.hashes()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"figures/depth_law.pdf", "figures/depth_law.png"}
    (uncommitted.results / "provenance/figure/error_by_hops.json").unlink()
    assert uncommitted.planned() == {"figure_error_by_hops": 1}


def test_what_changes_no_result_runs_nothing_and_writes_no_page(finished):
    # All at once, for each of them alone would show as a job.
    finished.edit(
        "workflow/logdepth/training/loop.py", '"""The training loop', '"""A training loop'
    )
    finished.edit("workflow/logdepth/tasks/hop.py", "# Square and multiply", "# By squaring")
    finished.edit("workflow/logdepth/provenance/record.py", "urn:logdepth:cli", "urn:logdepth:x")
    (finished.folder / "README.md").write_text("A new text\n")
    finished.git("commit", "-qam", "text, comments, and what writes records")
    for path in finished.folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    # The first inputs last, so that every output is older than what it was made from.
    for pattern in ("tables/*.csv", "runs/*/*.csv", "runs/*/model.safetensors", "data/*"):
        for path in finished.results.glob(pattern):
            os.utime(path)
    assert finished.jobs("--dry-run") == {}


def test_overwritten_figures_are_drawn_again_each_time(finished):
    before = finished.hashes()

    def overwrite(name, content, keep_time):
        file = finished.results / "figures" / name
        stat = file.stat()
        file.write_bytes(content)
        if keep_time:
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    # Each kind of file with its time kept, and with a new one; one file twice.
    for name in ("depth_law.pdf", "error_by_hops.png", "training_curves.csv"):
        overwrite(name, b"once", keep_time=True)
    assert finished.ran() == {f"figure_{name}": 1 for name in FIGURES}
    assert finished.hashes() == before
    for name in ("depth_law.csv", "error_by_hops.png", "training_curves.pdf"):
        overwrite(name, b"twice", keep_time=False)
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}
    figure = "results/tiny/figures/error_by_hops.pdf"
    assert finished.ran(figure) == {"figure_error_by_hops": 1}
    assert finished.planned() == {"figure_depth_law": 1, "figure_training_curves": 1}


def test_a_flipped_bit_in_a_model_trains_it_again(finished):
    before = finished.hashes()
    model = sorted(finished.results.glob("runs/*/model.safetensors"))[0]
    content, stat = bytearray(model.read_bytes()), model.stat()
    content[-1] ^= 1
    model.write_bytes(content)
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    figure = "results/tiny/figures/error_by_hops.pdf"
    ran = finished.ran(figure)
    assert ran == {"train": 1, "evaluate": 1, "tabulate": 1, "figure_error_by_hops": 1}
    assert finished.hashes() == before
    assert finished.planned(figure) == {}


def test_a_new_title_redraws_and_fits_nothing(finished):
    finished.edit("config/tiny.yaml", "title: fast", "title: quick")
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_a_new_depth_trains_that_depth_alone(finished):
    finished.edit("config/tiny.yaml", "depths: [1, 2]", "depths: [1, 2, 3]")
    planned = finished.planned()
    assert planned["train"] == 1
    assert planned["evaluate"] == 1


def test_one_figure_alone_needs_no_other_table(fresh):
    assert fresh.planned("results/tiny/figures/error_by_hops.pdf") == {
        "evaluation_set": 1,
        "train": 2,
        "evaluate": 2,
        "tabulate": 1,
        "figure_error_by_hops": 1,
    }


def test_plain_snakemake_finds_its_profile_and_the_laptop_study(finished):
    command, environment = finished.command()
    plain = [*command[: command.index("--configfile")], "--dry-run"]
    done = subprocess.run(
        plain, cwd=finished.folder, env=environment, capture_output=True, text=True, check=True
    )
    text = done.stdout + done.stderr
    assert "profiles/default" in text
    assert re.search(r"^train +27$", text, re.M)
