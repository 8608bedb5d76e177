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
        mem_mb=2000,
        runtime=30,
    params:
        dropout=options("dropout", STUDY.evaluation.dropout),
        seed=STUDY.evaluation.seed,
        definition=defined_by(
            "evaluate",
            "{run}",
            {"dropout": STUDY.evaluation.dropout, "seed": STUDY.evaluation.seed},
        ),
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
            name=["run.json", "evaluation.csv", "hops.csv"],
        ),
    output:
        errors=report(
            f"{RESULTS}/tables/errors.csv",
            caption="../report/errors.rst",
            category="Tables",
            labels={"table": "errors by depth and k"},
        ),
        errors_by_run=f"{RESULTS}/tables/errors_by_run.csv",
        training=f"{RESULTS}/tables/training.csv",
        record=record_of("tabulate", "tables"),
    log:
        f"{RESULTS}/logs/tabulate/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate/tables.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        runs=lambda wildcards, input: os.path.dirname(os.path.dirname(input[0])),
        experiments=options(
            "experiment",
            [f"{name}={','.join(runs)}" for name, runs in EXPERIMENTS.items()],
        ),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        definition=defined_by("tabulate", "tables", EXPERIMENTS),
    message:
        "Writing the tables of errors"
    shell:
        "logdepth tabulate --runs {params.runs} {params.experiments} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
