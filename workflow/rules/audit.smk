# Where each figure comes from, as pages beside the figures. They hold times and hosts, so that they
# have no record and are no results.
from logdepth.audit import tracing
from logdepth.provenance.definition import code_hash


def traced_records():
    """All records, which pages follow; imported models have one if they were taken over here."""
    targets = [*DATA_TARGETS, *RUN_TARGETS, *TABLE_TARGETS, *FIGURE_TARGETS]
    found = [path for path in targets if path.startswith(f"{RESULTS}/provenance/")]
    for figure in FIGURES.values():
        if KINDS[figure.draws].options:
            model = RESOLVED.model_of(figure)
            found += records(f"alignment/{model}")
            if "attention" in KINDS[figure.draws].tables:
                found += records(f"attention/{model}-k{figure.k}")
    imported = records(*(f"import/{run}" for run in RUNS))
    return [*dict.fromkeys(found), *filter(os.path.exists, imported)]


def code_of_pages(wildcards):
    """Hash of the code that traces figures: definitions leave it out, for it makes no results."""
    files = sorted(Path(tracing.__file__).parent.glob("*.py"))
    return digest({path.name: code_hash(path.read_text()) for path in files})


localrules:
    traces,


rule traces:
    input:
        traced_records(),
        figures=[f"{RESULTS}/figures/{figure}.png" for figure in FIGURES],
    output:
        [
            report(
                page,
                caption="../report/trace.rst",
                category="Figures",
                labels={"figure": figure.replace("_", " "), "kind": "trace"},
            )
            for figure, page in TRACES.items()
        ],
    log:
        f"{RESULTS}/logs/traces/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/traces/figures.tsv"
    threads: 1
    params:
        folder=f"{RESULTS}/traces",
        code=code_of_pages,
    message:
        "Tracing the figures"
    shell:
        "logdepth audit trace {input.figures} --pages {params.folder} > {log} 2>&1"
