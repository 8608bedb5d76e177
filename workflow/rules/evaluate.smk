rule evaluate:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=f"{RESULTS}/data/evaluation.safetensors",
    output:
        table=f"{RESULTS}/runs/{{run}}/evaluation.csv",
        record=record_of("evaluate", "{run}"),
    log:
        f"{RESULTS}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{run}}.tsv"
    threads: 1
    resources:
        **requested(EVALUATION),
    params:
        dropout=options("dropout", STUDY.evaluation.dropout),
        seed=STUDY.evaluation.seed,
        definition=defined_by("evaluate/{run}"),
    message:
        "Evaluating {wildcards.run}"
    shell:
        "logdepth evaluate --model {input.model} --data {input.data} --output {output.table} "
        "{params.dropout} --seed {params.seed} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule tabulate:
    input:
        expand(
            "{results}/runs/{run}/{name}",
            results=RESULTS,
            run=RUNS,
            name=["run.json", "evaluation.csv"],
        ),
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
        runs=runs_folder,
        experiments=experiments_of(EXPERIMENTS),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        definition=defined_by("tabulate/tables"),
    message:
        "Writing the tables of errors"
    shell:
        "logdepth tabulate --runs {params.runs} {params.experiments} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule curves:
    input:
        expand(
            "{results}/runs/{run}/{name}",
            results=RESULTS,
            run=TRAINED,
            name=["run.json", "hops.csv"],
        ),
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
        runs=runs_folder,
        experiments=experiments_of(CONTENTS.trained_experiments),
        definition=defined_by("curves/training"),
    message:
        "Writing the table of training curves"
    shell:
        "logdepth curves --runs {params.runs} {params.experiments} --output {output.table} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule describe:
    input:
        expand("{results}/runs/{run}/run.json", results=RESULTS, run=RUNS),
    output:
        expand(
            "{results}/tables/{table}.{kind}",
            results=RESULTS,
            table=DESCRIPTIONS,
            kind=["csv", "md", "tex"],
        ),
        record=record_of("describe", "tables"),
    log:
        f"{RESULTS}/logs/describe/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/describe/tables.tsv"
    localrule: True
    threads: 1
    params:
        runs=runs_folder,
        experiments=experiments_of(EXPERIMENTS),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        definition=defined_by("describe/tables"),
    message:
        "Describing task, settings and models"
    shell:
        "logdepth describe --runs {params.runs} {params.experiments} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule compare:
    input:
        expand(
            "{results}/runs/{run}/{name}",
            results=RESULTS,
            run=RUNS,
            name=["run.json", "evaluation.csv"],
        ),
        published=PUBLISHED,
    output:
        comparison=report(
            f"{RESULTS}/tables/comparison.csv",
            caption="../report/comparison.rst",
            category="Tables",
            labels={"table": "published and ours"},
        ),
        summary=f"{RESULTS}/tables/comparison_summary.csv",
        record=record_of("compare", "comparison"),
    log:
        f"{RESULTS}/logs/compare/comparison.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare/comparison.tsv"
    localrule: True
    threads: 1
    params:
        runs=runs_folder,
        experiments=experiments_of(EXPERIMENTS),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        definition=defined_by("compare/comparison"),
    message:
        "Comparing with the published errors"
    shell:
        "logdepth compare --runs {params.runs} {params.experiments} "
        "--published {input.published} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
