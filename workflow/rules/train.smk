rule train:
    output:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        run=f"{RESULTS}/runs/{{run}}/run.json",
        steps=f"{RESULTS}/runs/{{run}}/steps.csv",
        hops=f"{RESULTS}/runs/{{run}}/hops.csv",
        record=record_of("train", "{run}"),
    log:
        f"{RESULTS}/logs/train/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{run}}.tsv"
    wildcard_constraints:
        # An imported model lies where a trained one would, and is no output of this rule.
        run="|".join(TRAINED) or "(?!)",
    priority: lambda wildcards: cost(TRAINED[wildcards.run])
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        run=lambda wildcards: canonical_json(
            TRAINED[wildcards.run].model_dump(mode="json")
        ),
        folder=lambda wildcards, output: os.path.dirname(output.model),
        checkpoints=f"{RESULTS}/checkpoints/{{run}}",
        definition=defined_by(
            "train",
            "{run}",
            lambda wildcards: TRAINED[wildcards.run].model_dump(mode="json"),
        ),
    message:
        "Training {wildcards.run}"
    shell:
        "logdepth train --run {params.run:q} --output {params.folder} "
        "--checkpoints {params.checkpoints} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
