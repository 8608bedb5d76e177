# The theorems as running code: models written down as weights, claims tried, needs measured.
rule compile:
    output:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        run=f"{RESULTS}/runs/{{run}}/run.json",
        record=record_of("compile", "{run}"),
    log:
        f"{RESULTS}/logs/compile/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compile/{{run}}.tsv"
    wildcard_constraints:
        run=one_of(COMPILED),
    localrule: True
    threads: 1
    params:
        run=lambda wildcards: canonical_json(
            COMPILED[wildcards.run].model_dump(mode="json")
        ),
        folder=lambda wildcards, output: os.path.dirname(output.model),
        definition=defined_by("compile/{run}"),
    message:
        "Writing down the weights of {wildcards.run}"
    shell:
        "logdepth compile --run {params.run:q} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule theory:
    input:
        models=lambda wildcards: (
            expand(
                "{results}/runs/{run}/model.safetensors",
                results=RESULTS,
                run=RUNS,
            )
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
        table="|".join(JOBS) if STUDY.theory else "(?!)",
    # The long ones first.
    priority: lambda wildcards: math.ceil(THEORY[wildcards.table].seconds)
    threads: 1
    resources:
        **requested(THEORY, "table"),
    params:
        settings=(
            canonical_json(STUDY.theory.model_dump(mode="json"))
            if STUDY.theory
            else ""
        ),
        models=lambda wildcards, input: options("model", input.models),
        definition=defined_by("theory/{table}"),
    message:
        "Theory: {wildcards.table}"
    shell:
        "logdepth theory {wildcards.table} --settings {params.settings:q} {params.models} "
        "--output {output.table} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule claims:
    input:
        tables=expand("{results}/tables/{table}.csv", results=RESULTS, table=CHECKS),
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
        tables=lambda wildcards, input: options("table", input.tables),
        folder=lambda wildcards, output: os.path.dirname(output.csv),
        definition=defined_by("claims/claims"),
    message:
        "Writing the table of claims"
    shell:
        "logdepth claims {params.tables} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule depths:
    input:
        thresholds=f"{RESULTS}/tables/thresholds.csv",
        beside=[f"{other.results}/tables/thresholds.csv" for other in STUDY.beside],
        published=PUBLISHED if STUDY.task == Task() else [],
    output:
        table=f"{RESULTS}/tables/solved_depths.csv",
        record=record_of("depths", "solved_depths"),
    log:
        f"{RESULTS}/logs/depths/solved_depths.log",
    benchmark:
        f"{RESULTS}/benchmarks/depths/solved_depths.tsv"
    localrule: True
    threads: 1
    params:
        titles=options(
            "title", [f"{name}={e.title}" for name, e in STUDY.experiments.items()]
        ),
        compiled=options(
            "compiled",
            [name for name, e in STUDY.experiments.items() if e.is_compiled],
        ),
        beside=options(
            "beside",
            [canonical_json(other.model_dump(mode="json")) for other in STUDY.beside],
        ),
        published=lambda wildcards, input: options(
            "published", [input.published] if input.published else []
        ),
        definition=defined_by("depths/solved_depths"),
    message:
        "What each depth solves, beside others"
    shell:
        "logdepth depths --thresholds {input.thresholds} {params.titles} {params.compiled} "
        "{params.beside} {params.published} --output {output.table} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
