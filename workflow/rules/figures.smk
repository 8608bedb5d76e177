# A rule for each figure, so that each has its own caption and can be asked for alone.
for FIGURE, SPEC in CONTENTS.figures.items():

    rule:
        name:
            f"figure_{FIGURE}"
        input:
            tables=tables_of(SPEC),
        output:
            pdf=f"{RESULTS}/figures/{FIGURE}.pdf",
            png=report(
                f"{RESULTS}/figures/{FIGURE}.png",
                caption=f"../report/{SPEC.draws}.rst",
                category="Figures",
                labels={"figure": FIGURE.replace("_", " "), "kind": "figure"},
            ),
            csv=f"{RESULTS}/figures/{FIGURE}.csv",
            record=record_of("figure", FIGURE),
        log:
            f"{RESULTS}/logs/figure/{FIGURE}.log",
        benchmark:
            f"{RESULTS}/benchmarks/figure/{FIGURE}.tsv"
        localrule: True
        threads: 1
        params:
            figure=FIGURE,
            spec=canonical_json(SPEC.model_dump(mode="json")),
            tables=lambda wildcards, input: options("table", input.tables),
            titles=options(
                "title", [f"{name}={e.title}" for name, e in STUDY.experiments.items()]
            ),
            folder=lambda wildcards, output: os.path.dirname(output.pdf),
            definition=defined_by(f"figure/{FIGURE}"),
        message:
            f"Drawing {FIGURE}"
        shell:
            "logdepth figure {params.figure} --spec {params.spec:q} {params.tables} "
            "{params.titles} --output {params.folder} --definition {params.definition} "
            "--record {output.record} > {log} 2>&1"
