# The theorems as running code: claims tried, needs measured.
from logdepth.theory.catalog import CHECKS, OF_MODELS

MODELS = jobs.models_of(RESOLVED.summary)


rule theory:
    input:
        models=lambda wildcards: (
            files_of(MODELS, "model.safetensors")
            if wildcards.table in OF_MODELS
            else []
        ),
    output:
        table=f"{RESULTS}/tables/{{table}}.csv",
        record=record_of("theory", "{table}"),
    log:
        f"{RESULTS}/logs/theory/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/theory/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(THEORY_TABLES) if STUDY.theory else "(?!)",
    # The long ones first.
    priority: lambda wildcards: priority_of(THEORY, wildcards.table)
    threads: 1
    resources:
        **resources_for(THEORY, "table"),
    params:
        **params_of("theory/{table}"),
        models=lambda wildcards: (
            f"--study {STUDY_FILE} --runs {RESULTS}/runs"
            if wildcards.table in OF_MODELS
            else ""
        ),
    message:
        "Theory: {wildcards.table}"
    shell:
        "logdepth theory {wildcards.table} {params.options} {params.models} "
        "--output {output.table} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule claims:
    input:
        tables=table_files(*CHECKS),
    output:
        csv=report(
            f"{RESULTS}/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "claims"},
        ),
        md=f"{RESULTS}/tables/claims.md",
        record=record_of("claims", "claims"),
    log:
        f"{RESULTS}/logs/claims/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims/claims.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("claims/claims"),
        inputs=lambda wildcards, input: repeated("table", input.tables),
    message:
        "Writing the table of claims"
    shell:
        "logdepth claims {params.inputs} --output {params.tables} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
