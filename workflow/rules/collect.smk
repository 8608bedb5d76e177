# What a study consists of: `all`, and targets below it. Ask for a stage by name, or for any file.
TRAINED = RESOLVED.trained
COMPILED = RESOLVED.compiled
FIGURES = RESOLVED.figures
# Models that read longer strings, without position embeddings.
ANY_LENGTH = [
    run.identifier
    for runs in of_any_length(RESOLVED.summary, STUDY.evaluation.lengths).values()
    for run in runs
]
TRACES = {figure: f"{RESULTS}/traces/{figure}.html" for figure in FIGURES}
# The paper's Tables 1 to 3: task, settings, models.
PAPER_TABLES = [
    f"{RESULTS}/tables/table{number}.{kind}"
    for number in (1, 2, 3)
    for kind in ("csv", "md", "tex")
]
# Each with its record, so that an output without one is made again.
DATA_TARGETS = [
    *(f"{RESULTS}/data/{name}.safetensors" for name in RESOLVED.tasks),
    *records(*(f"data/{name}" for name in RESOLVED.tasks)),
]
RUN_TARGETS = [
    *files_of(RUNS, "evaluation.csv"),
    *records(*(f"evaluate/{run}" for run in RUNS)),
    *files_of(TRAINED, "model.safetensors", "run.json", "steps.csv", "by_k.csv"),
    *records(*(f"train/{run}" for run in TRAINED)),
    *files_of(COMPILED, "model.safetensors", "run.json"),
    *records(*(f"compile/{run}" for run in COMPILED)),
]
TABLE_TARGETS = [
    *table_files("errors", "errors_by_run", "thresholds", "scaling"),
    *PAPER_TABLES,
    *records("tabulate/tables", "describe/tables", "fit/fits"),
]
if TRAINED:
    TABLE_TARGETS += [*table_files("training"), *records("curves/training")]
if RESOLVED.draws("comparison"):
    TABLE_TARGETS += table_files("comparison", "comparison_summary")
    TABLE_TARGETS += records("compare/comparison")
if RESOLVED.draws("solved_depths"):
    TABLE_TARGETS += [*table_files("solved_depths"), *records("depths/solved_depths")]
if RESOLVED.draws("lengths"):
    TABLE_TARGETS += [*table_files("lengths"), *records("lengths/lengths")]
if STUDY.theory:
    TABLE_TARGETS += [
        *table_files(*THEORY_TABLES, "claims"),
        *records(*(f"theory/{table}" for table in THEORY_TABLES), "claims/claims"),
    ]
FIGURE_TARGETS = [
    *(
        f"{RESULTS}/figures/{f}.{kind}"
        for f in FIGURES
        for kind in ("pdf", "png", "csv")
    ),
    *records(*(f"figure/{figure}" for figure in FIGURES)),
]


WHAT_IS_DONE = (
    f"The settings of {', '.join(RESOLVED.undecided)} are chosen; the same command trains with them"
    if RESOLVED.undecided
    else f"The study '{STUDY.study}' is complete: {RESULTS}/figures, {RESULTS}/tables"
)
# What the study is complete with.
TARGETS = [
    *DATA_TARGETS,
    *RUN_TARGETS,
    *TABLE_TARGETS,
    *FIGURE_TARGETS,
    *TRACES.values(),
]


localrules:
    runs,
    tables,
    figures,


rule runs:
    input:
        RUN_TARGETS,


rule tables:
    input:
        TABLE_TARGETS,


rule figures:
    input:
        FIGURE_TARGETS,
