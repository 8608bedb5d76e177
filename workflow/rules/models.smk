# Models: trained, or written down as weights.
rule train:
    output:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        run=f"{RESULTS}/runs/{{run}}/run.json",
        steps=f"{RESULTS}/runs/{{run}}/steps.csv",
        by_k=f"{RESULTS}/runs/{{run}}/by_k.csv",
        record=record_of("train", "{run}"),
    log:
        f"{RESULTS}/logs/train/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{run}}.tsv"
    wildcard_constraints:
        # An imported model lies where a trained one would, and is no output of this rule.
        run=one_of(TRAINED | TRIALS),
    # The long ones first.
    priority: lambda wildcards: priority_of(TRAINING, wildcards.run)
    threads: 1
    resources:
        **resources_for(TRAINING),
        gpu=int(SITE.gpu_device is not None),
    params:
        **params_of("train/{run}"),
        checkpoints=f"{RESULTS}/checkpoints/{{run}}",
        # On a cluster what the site says: without its GPU a job is to stop, not to go on slowly.
        device=SITE.training_device if DEFINITION_FROM_SUBMITTER else "auto",
        # It takes the outputs, so that Snakemake does not compare it: who trained beside whom
        # makes no run another.
        together=lambda wildcards, output: (
            f"--together {TOGETHER[wildcards.run]} --among {STUDY_FILE}"
            if TOGETHER[wildcards.run] > 1
            else ""
        ),
    message:
        "Training {wildcards.run}"
    shell:
        "logdepth train {params.options} --output {params.runs}/{wildcards.run} "
        "--checkpoints {params.checkpoints} {params.together} "
        "--device {params.device} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


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
        **params_of("compile/{run}"),
    message:
        "Writing down the weights of {wildcards.run}"
    shell:
        "logdepth compile {params.options} --output {params.runs}/{wildcards.run} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
