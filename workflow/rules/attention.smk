rule alignment:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=f"{RESULTS}/data/evaluation.safetensors",
    output:
        table=f"{RESULTS}/runs/{{run}}/alignment.csv",
        record=record_of("alignment", "{run}"),
    log:
        f"{RESULTS}/logs/alignment/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment/{{run}}.tsv"
    threads: 1
    resources:
        **requested(ATTENTION),
    params:
        sequences=STUDY.alignment.sequences,
        dropout=STUDY.alignment.dropout,
        seed=STUDY.evaluation.seed,
        definition=defined_by("alignment/{run}"),
    message:
        "Aligning the heads of {wildcards.run} with find^j"
    shell:
        "logdepth attention --model {input.model} --data {input.data} --output {output.table} "
        "--sequences {params.sequences} --dropout {params.dropout} --seed {params.seed} "
        "--threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule attention:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=f"{RESULTS}/data/evaluation.safetensors",
    output:
        table=f"{RESULTS}/runs/{{run}}/attention-hops{{hops}}.csv",
        record=record_of("attention", "{run}-hops{hops}"),
    log:
        f"{RESULTS}/logs/attention/{{run}}-hops{{hops}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attention/{{run}}-hops{{hops}}.tsv"
    wildcard_constraints:
        hops="[0-9]+",
    threads: 1
    resources:
        **requested(ATTENTION),
    params:
        dropout=STUDY.alignment.dropout,
        seed=STUDY.evaluation.seed,
        definition=defined_by("attention/{run}-hops{hops}"),
    message:
        "Attention of {wildcards.run} on one string, asked for k = {wildcards.hops}"
    shell:
        "logdepth attention --model {input.model} --data {input.data} --output {output.table} "
        "--matrices {wildcards.hops} --dropout {params.dropout} --seed {params.seed} "
        "--threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
