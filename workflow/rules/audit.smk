# Where each figure comes from, as pages beside the figures. They hold times and hosts, so that they
# have no record and are no results.
localrules:
    traces,


rule traces:
    input:
        # Pages tell what is in records, so that they follow each of them.
        TRACED_RECORDS,
        figures=expand(
            "{results}/figures/{figure}.png", results=RESULTS, figure=CONTENTS.figures
        ),
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
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_of_pages,
    message:
        "Tracing the figures"
    shell:
        "logdepth audit trace {input.figures} --pages {params.folder} > {log} 2>&1"
