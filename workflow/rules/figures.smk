# A rule for each figure, so that each has its own caption and can be asked for alone.
from logdepth.files import write_text


def caption_of(kind):
    """Path of the caption of a kind of figure, which is the docstring of its module."""
    path = Path(RESULTS, "captions", f"{kind}.rst")
    trace = (
        "`Where this figure comes from <traces/{{ snakemake.params.figure }}.html>`__"
    )
    text = f"{KINDS[kind].caption}\n\n{trace}\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return str(path.resolve())


for FIGURE, SPEC in FIGURES.items():

    rule:
        name:
            f"figure_{FIGURE}"
        input:
            tables=figure_tables(SPEC),
        output:
            pdf=f"{RESULTS}/figures/{FIGURE}.pdf",
            png=report(
                f"{RESULTS}/figures/{FIGURE}.png",
                caption=caption_of(SPEC.draws),
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
            **params_of(f"figure/{FIGURE}"),
            figure=FIGURE,
            inputs=lambda wildcards, input: repeated("table", input.tables),
        message:
            f"Drawing {FIGURE}"
        shell:
            "logdepth figure {params.figure} {params.options} --study {params.study} "
            "{params.inputs} --output {params.figures} --definition {params.definition} "
            "--record {output.record} > {log} 2>&1"
