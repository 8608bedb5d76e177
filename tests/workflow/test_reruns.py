"""Exactly what changed runs again: each hole that Snakemake leaves has a test."""

import os
import re
import subprocess

import pytest

FIGURES = ["depth_law", "error_by_depth", "error_by_hops", "error_heatmap", "training_curves"]


def test_a_finished_study_has_nothing_to_do(finished):
    assert finished.planned() == {}
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


def test_an_edited_figure_redraws_itself_alone(finished):
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
    assert finished.planned() == {"figure_depth_law": 1}
    before = finished.hashes()
    finished.snakemake()
    after = finished.hashes()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"figures/depth_law.pdf", "figures/depth_law.png"}
    assert finished.planned() == {}


def test_an_edited_style_redraws_the_figures(finished):
    finished.edit("workflow/logdepth/figures/style.py", '"font.size": 8', '"font.size": 9')
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_an_edited_comment_or_docstring_runs_nothing(finished):
    finished.edit(
        "workflow/logdepth/training/loop.py", '"""The training loop', '"""A training loop'
    )
    finished.edit("workflow/logdepth/tasks/hop.py", "# Square and multiply", "# By squaring")
    assert finished.planned() == {}


def test_edited_provenance_code_runs_nothing(finished):
    finished.edit("workflow/logdepth/provenance/record.py", "urn:logdepth:cli", "urn:logdepth:x")
    assert finished.planned() == {}


def test_touched_files_run_nothing(finished):
    for path in finished.folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    assert finished.planned() == {}


@pytest.mark.parametrize(
    "path", ["runs/*/model.safetensors", "data/evaluation.safetensors", "tables/errors.csv"]
)
def test_a_touched_result_runs_nothing(finished, path):
    for file in finished.results.glob(path):
        os.utime(file)
    assert finished.planned() == {}


def test_a_commit_runs_nothing(finished):
    (finished.folder / "README.md").write_text("A new text\n")
    finished.git("commit", "-qam", "text")
    assert finished.planned() == {}


@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("kind", ["pdf", "png", "csv"])
def test_an_overwritten_figure_is_drawn_again(finished, kind, keep_time):
    figure = finished.results / f"figures/depth_law.{kind}"
    before, stat = finished.hashes(), figure.stat()
    figure.write_bytes(b"not what was drawn")
    if keep_time:
        os.utime(figure, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert finished.planned() == {"figure_depth_law": 1}
    finished.snakemake()
    assert finished.hashes() == before
    assert finished.planned() == {}


def test_an_overwritten_figure_is_noticed_every_time(finished):
    figure = finished.results / "figures/depth_law.png"
    for content in (b"once", b"twice"):
        figure.write_bytes(content)
        assert finished.planned() == {"figure_depth_law": 1}
        finished.snakemake()
        assert finished.planned() == {}


def test_a_flipped_bit_in_a_model_trains_it_again(finished):
    before = finished.hashes()
    model = sorted(finished.results.glob("runs/*/model.safetensors"))[0]
    content, stat = bytearray(model.read_bytes()), model.stat()
    content[-1] ^= 1
    model.write_bytes(content)
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert finished.planned()["train"] == 1
    finished.snakemake()
    assert finished.hashes() == before
    assert finished.planned() == {}


def test_a_new_title_redraws_and_fits_nothing(finished):
    finished.edit("config/tiny.yaml", "title: fast", "title: quick")
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_a_new_depth_trains_that_depth_alone(finished):
    finished.edit("config/tiny.yaml", "depths: [1, 2]", "depths: [1, 2, 3]")
    planned = finished.planned()
    assert planned["train"] == 1
    assert planned["evaluate"] == 1


def test_a_deleted_record_is_made_again(finished):
    (finished.results / "provenance/figure/depth_law.json").unlink()
    assert finished.planned() == {"figure_depth_law": 1}


def test_one_figure_alone(fresh):
    fresh.snakemake("results/tiny/figures/error_by_hops.pdf")
    drawn = sorted(p.name for p in (fresh.results / "figures").iterdir())
    assert drawn == [f"error_by_hops.{kind}" for kind in ("csv", "pdf", "png")]
    assert not (fresh.results / "tables/scaling.csv").exists()


def test_plain_snakemake_finds_its_profile_and_the_laptop_study(finished):
    command, environment = finished.command()
    plain = [*command[: command.index("--configfile")], "--dry-run"]
    done = subprocess.run(
        plain, cwd=finished.folder, env=environment, capture_output=True, text=True, check=True
    )
    text = done.stdout + done.stderr
    assert "profiles/default" in text
    assert re.search(r"^train +27$", text, re.M)
