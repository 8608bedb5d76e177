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
        run=one_of(TRAINED),
    # The long ones first.
    priority: lambda wildcards: math.ceil(TRAINING[wildcards.run].seconds)
    threads: 1
    resources:
        **requested(TRAINING),
        gpu=int(SITE.gpu_device is not None),
    params:
        run=lambda wildcards: canonical_json(
            TRAINED[wildcards.run].model_dump(mode="json")
        ),
        folder=lambda wildcards, output: os.path.dirname(output.model),
        checkpoints=f"{RESULTS}/checkpoints/{{run}}",
        # On a cluster what the site says: without its GPU a job is to stop, not to go on slowly.
        device=SITE.training_device if HANDED else "auto",
        definition=defined_by("train/{run}"),
    message:
        "Training {wildcards.run}"
    shell:
        "logdepth train --run {params.run:q} --output {params.folder} "
        "--checkpoints {params.checkpoints} --device {params.device} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
