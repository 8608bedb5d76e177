# Tables of all runs together; their commands read in study.json which runs there are.
rule tabulate:
    input:
        files_of(RUNS, "evaluation.csv"),
    output:
        errors=report(
            f"{RESULTS}/tables/errors.csv",
            caption="../report/errors.rst",
            category="Tables",
            labels={"table": "errors by depth and k"},
        ),
        errors_by_run=f"{RESULTS}/tables/errors_by_run.csv",
        record=record_of("tabulate", "tables"),
    log:
        f"{RESULTS}/logs/tabulate/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate/tables.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("tabulate/tables"),
    message:
        "Writing the tables of errors"
    shell:
        "logdepth tabulate --study {params.study} --runs {params.runs} --output {params.tables} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule training_table:
    input:
        files_of(TRAINED, "by_k.csv"),
    output:
        table=f"{RESULTS}/tables/training.csv",
        record=record_of("curves", "training"),
    log:
        f"{RESULTS}/logs/curves/training.log",
    benchmark:
        f"{RESULTS}/benchmarks/curves/training.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("curves/training"),
    message:
        "Writing the table of training curves"
    shell:
        "logdepth curves --study {params.study} --runs {params.runs} --output {output.table} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule paper_tables:
    output:
        PAPER_TABLES,
        record=record_of("describe", "tables"),
    log:
        f"{RESULTS}/logs/describe/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe/tables.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("describe/tables"),
    message:
        "Describing tasks, settings and models"
    shell:
        "logdepth describe --study {params.study} --output {params.tables} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule compare_published:
    input:
        files_of(RUNS, "evaluation.csv"),
        published=PUBLISHED,
    output:
        comparison=report(
            f"{RESULTS}/tables/comparison.csv",
            caption="../report/comparison.rst",
            category="Tables",
            labels={"table": "published and ours"},
        ),
        comparison_summary=f"{RESULTS}/tables/comparison_summary.csv",
        record=record_of("compare", "comparison"),
    log:
        f"{RESULTS}/logs/compare/comparison.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare/comparison.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("compare/comparison"),
    message:
        "Comparing with the published errors"
    shell:
        "logdepth compare --study {params.study} --runs {params.runs} "
        "--published {input.published} --output {params.tables} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
