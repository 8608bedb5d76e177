"""Exactly what changed runs again: each hole that Snakemake leaves has a test."""

import os
import re
import shutil

from checkout import FIGURES
from command_line import logdepth, snakemake_here


def test_a_finished_study_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake().stderr


def test_what_is_out_of_date_is_known_without_notes_of_snakemake(finished):
    shutil.rmtree(finished.folder / ".snakemake")
    assert finished.planned() == {}
    finished.edit("config/tiny.yaml", "[0.1, 0.05]", "[0.05, 0.1]")
    assert finished.planned() == {"fit": 1, "figure_depth_law": 1}
    # No more than what is asked for.
    assert finished.planned("results/tiny/figures/error_by_k.pdf") == {}


def test_swapped_parameter_values(finished):
    # The rule now gets the very same set of values, in the other order.
    finished.edit("config/tiny.yaml", "[0.1, 0.05]", "[0.05, 0.1]")
    assert finished.planned() == {"fit": 1, "figure_depth_law": 1}


def after(models: int) -> dict[str, int]:
    """Return the jobs that follow from training some models again, with it."""
    tables = dict.fromkeys(("tabulate", "training_table", "paper_tables", "fit"), 1)
    figures = {f"figure_{name}": 1 for name in FIGURES}
    return {"train": models, "evaluate": models} | tables | figures


def test_an_edited_module_whose_time_is_kept(finished):
    finished.edit(
        "workflow/logdepth/recipes/base.py",
        "return step / self.warmup",
        "return (step + 1) / self.warmup",
    )
    assert finished.planned() == after(3)


def test_an_edited_model_trains_the_runs_of_its_form_alone(finished):
    finished.edit(
        "workflow/logdepth/models/softmax.py",
        "Attention(self.width, self.heads)",
        "Attention(self.width, heads=self.heads)",
    )
    assert finished.planned() == after(2)


def test_an_edited_recipe_trains_its_own_runs_alone(finished):
    finished.edit(
        "workflow/logdepth/recipes/paper.py",
        "self.stop_after or self.steps",
        "self.stop_after if self.stop_after else self.steps",
    )
    assert finished.planned() == after(1)


def test_an_edited_task_draws_its_sequences_and_trains_all_again(finished):
    finished.edit("workflow/logdepth/tasks/hop.py", "remaining & 1", "remaining % 2")
    assert finished.planned() == {"evaluation_set": 1} | after(3)


def test_an_edited_style_redraws_the_figures(finished):
    finished.edit("workflow/logdepth/figures/style.py", '"font.size": 8', '"font.size": 9')
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_an_edited_figure_is_redrawn_alone_and_so_is_one_without_its_record(template, uncommitted):
    # Its figure of the depth law was edited, and drawn again: see the fixture for what ran.
    before, after = template.hashes(), uncommitted.hashes()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"figures/depth_law.pdf", "figures/depth_law.png"}
    (uncommitted.results / "provenance/figure/error_by_k.json").unlink()
    assert uncommitted.planned() == {"figure_error_by_k": 1}


def test_what_changes_no_result_runs_nothing_and_writes_no_page(finished):
    # All at once, for each of them alone would show as a job.
    def edit(module: str, old: str, new: str) -> None:
        finished.edit(f"workflow/logdepth/{module}.py", old, new)

    def add(module: str, other: str, **names: str) -> None:
        """Add a copy of a module, with other names in it."""
        text = (package / f"{module}.py").read_text()
        for old, new in names.items():
            assert old in text, f"{old!r} is not in {module}"
            text = text.replace(old, new)
        (package / f"{other}.py").write_text(text)

    package = finished.folder / "workflow/logdepth"
    # Text and comments.
    edit("training/loop", '"""The training loop', '"""A training loop')
    edit("tasks/hop", "# Square and multiply", "# By squaring")
    edit("cli/train", 'help="Least time between', 'help="Seconds between')
    edit("training/loop", "nothing to train; expected", "expected, for nothing is to train,")
    edit("config/study", "names a seed twice", "has a seed twice")
    # New files: a task, an architecture, a recipe, a kind of figure.
    add("tasks/hop", "tasks/leap", **{"class Hop(": "class Leap(", '"hop"': '"leap"'})
    add("models/softmax", "models/soft", **{"class Softmax(": "class Soft(", '"softmax"': '"soft"'})
    add("recipes/muon", "recipes/own", **{"MuonRecipe(": "OwnRecipe(", '"muon"': '"own"'})
    add("figures/error_by_k", "figures/error_by_jump")
    # What reads settings, checks columns, plans, and writes records.
    with (package / "config/fields.py").open("a") as fields:
        fields.write("\n\nclass Positive(int):\n    pass\n")
    edit("tables/results", '"reason": text(),', '"reason": text(), "note": text(),')
    edit("planning/resources", "_MARGIN = 1.25", "_MARGIN = 1.5")
    edit("../audit_trail/format", "urn:logdepth:cli", "urn:logdepth:x")
    (finished.folder / "README.md").write_text("A new text\n")
    finished.git("add", ".")
    finished.git("commit", "-qm", "nothing that a result could show")
    for path in finished.folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    # The first inputs last, so that every output is older than what it was made from.
    for pattern in ("tables/*.csv", "runs/*/*.csv", "runs/*/model.safetensors", "data/*"):
        for path in finished.results.glob(pattern):
            os.utime(path)
    assert finished.jobs("--dry-run") == {}
    # They were found, and are members like the others.
    _, environment = finished.command()
    done = logdepth("config", "schema", cwd=finished.folder, env=environment)
    for member in ("leap", "soft", "own"):
        assert f'"const": "{member}"' in done.stdout


def test_overwritten_figures_are_drawn_again_each_time(finished):
    before = finished.hashes()

    def overwrite(name, content, keep_time):
        file = finished.results / "figures" / name
        stat = file.stat()
        file.write_bytes(content)
        if keep_time:
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    # Each kind of file with its time kept, and with a new one; one file twice.
    for name in ("depth_law.pdf", "error_by_k.png", "training_curves.csv"):
        overwrite(name, b"once", keep_time=True)
    assert finished.ran() == {f"figure_{name}": 1 for name in FIGURES}
    assert finished.hashes() == before
    for name in ("depth_law.csv", "error_by_k.png", "training_curves.pdf"):
        overwrite(name, b"twice", keep_time=False)
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}
    figure = "results/tiny/figures/error_by_k.pdf"
    assert finished.planned(figure) == {"figure_error_by_k": 1}


def test_after_a_clock_was_set_back_what_is_older_than_its_inputs_is_current(finished):
    before = finished.hashes()
    for path in (finished.config, *finished.results.rglob("*")):
        tomorrow = path.stat().st_mtime_ns + 86_400_000_000_000
        os.utime(path, ns=(tomorrow, tomorrow))
    (finished.results / "figures/depth_law.pdf").unlink()
    assert finished.ran() == {"figure_depth_law": 1}
    assert finished.jobs("--dry-run") == {}
    assert finished.hashes() == before


def test_a_flipped_bit_in_a_model_trains_it_again(finished):
    before = finished.hashes()
    model = sorted(finished.results.glob("runs/*/model.safetensors"))[0]
    content, stat = bytearray(model.read_bytes()), model.stat()
    content[-1] ^= 1
    model.write_bytes(content)
    os.utime(model, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    asked = ("results/tiny/figures/error_by_k.pdf", "results/tiny/tables/scaling.csv")
    ran = finished.ran(*asked)
    assert ran == {"train": 1, "evaluate": 1, "tabulate": 1, "fit": 1, "figure_error_by_k": 1}
    assert finished.hashes() == before
    assert finished.planned(*asked) == {}


def test_a_new_title_redraws_and_fits_nothing(finished):
    finished.edit("config/tiny.yaml", "title: fast", "title: quick")
    assert finished.planned() == {f"figure_{name}": 1 for name in FIGURES}


def test_a_new_depth_trains_that_depth_alone(finished):
    finished.edit("config/tiny.yaml", "depths: [1, 2]", "depths: [1, 2, 3]")
    planned = finished.planned()
    assert planned["train"] == 1
    assert planned["evaluate"] == 1


def test_one_figure_alone_needs_no_other_table(fresh):
    assert fresh.planned("results/tiny/figures/error_by_k.pdf") == {
        "evaluation_set": 1,
        "train": 3,
        "evaluate": 3,
        "tabulate": 1,
        "figure_error_by_k": 1,
    }


def test_plain_snakemake_finds_its_profile_and_the_laptop_study(finished):
    _, environment = finished.command()
    done = snakemake_here(["--dry-run"], finished.folder, environment)
    text = done.stdout + done.stderr
    assert "profiles/default" in text
    assert re.search(r"^train +27$", text, re.M)
