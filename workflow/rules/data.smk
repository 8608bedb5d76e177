rule evaluation_set:
    output:
        data=f"{RESULTS}/data/evaluation.safetensors",
        record=record_of("data", "evaluation"),
    log:
        f"{RESULTS}/logs/data/evaluation.log",
    benchmark:
        f"{RESULTS}/benchmarks/data/evaluation.tsv"
    localrule: True
    threads: 1
    params:
        task=canonical_json(STUDY.task.model_dump()),
        hops=",".join(map(str, STUDY.evaluated_hops)),
        sequences=STUDY.evaluation.sequences,
        seed=STUDY.evaluation.seed,
        definition=defined_by("data/evaluation"),
    message:
        "Freezing the evaluation set"
    shell:
        "logdepth data --task {params.task:q} --hops {params.hops} "
        "--sequences {params.sequences} --seed {params.seed} --output {output.data} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
