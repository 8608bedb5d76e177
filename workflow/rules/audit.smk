# Where each figure comes from, as pages beside the figures. They hold times and hosts, so that they
# have no record and are no results.
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
        folder=lambda wildcards: f"{RESULTS}/traces",
        code=code_of_pages,
    message:
        "Tracing the figures"
    shell:
        "logdepth audit trace {input.figures} --pages {params.folder} > {log} 2>&1"
