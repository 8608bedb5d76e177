# Frozen sets, and what is measured of each model.
rule evaluation_set:
    output:
        data=f"{RESULTS}/data/{{task}}.safetensors",
        record=record_of("data", "{task}"),
    log:
        f"{RESULTS}/logs/data/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/data/{{task}}.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("data/{task}"),
    message:
        "Freezing the evaluation set of {wildcards.task}"
    shell:
        "logdepth data {params.options} --output {output.data} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule evaluate:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=data_of,
    output:
        table=f"{RESULTS}/runs/{{run}}/evaluation.csv",
        record=record_of("evaluate", "{run}"),
    log:
        f"{RESULTS}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{run}}.tsv"
    threads: 1
    resources:
        **resources_for(EVALUATION),
    params:
        **params_of("evaluate/{run}"),
    message:
        "Evaluating {wildcards.run}"
    shell:
        "logdepth evaluate --model {input.model} --data {input.data} --output {output.table} "
        "{params.options} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule longer_strings:
    input:
        files_of(ANY_LENGTH, "model.safetensors"),
    output:
        table=f"{RESULTS}/tables/lengths.csv",
        record=record_of("lengths", "lengths"),
    log:
        f"{RESULTS}/logs/lengths/lengths.log",
    benchmark:
        f"{RESULTS}/benchmarks/lengths/lengths.tsv"
    threads: 1
    params:
        **params_of("lengths/lengths"),
    message:
        "Asking models without positions on longer strings"
    shell:
        "logdepth lengths --study {params.study} --runs {params.runs} --output {output.table} "
        "{params.options} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule alignment:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=data_of,
    output:
        table=f"{RESULTS}/runs/{{run}}/alignment.csv",
        record=record_of("alignment", "{run}"),
    log:
        f"{RESULTS}/logs/alignment/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment/{{run}}.tsv"
    threads: 1
    resources:
        **resources_for(ATTENTION),
    params:
        **params_of("alignment/{run}"),
    message:
        "Aligning the heads of {wildcards.run} with find^j"
    shell:
        "logdepth attention --model {input.model} --data {input.data} --output {output.table} "
        "{params.options} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


use rule alignment as attention with:
    output:
        table=f"{RESULTS}/runs/{{run}}/attention-k{{k}}.csv",
        record=record_of("attention", "{run}-k{k}"),
    log:
        f"{RESULTS}/logs/attention/{{run}}-k{{k}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attention/{{run}}-k{{k}}.tsv"
    wildcard_constraints:
        k="[0-9]+",
    params:
        **params_of("attention/{run}-k{k}"),
    message:
        "Attention of {wildcards.run} on one string, asked for k = {wildcards.k}"


rule ablation:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=data_of,
    output:
        table=f"{RESULTS}/runs/{{run}}/ablation.csv",
        record=record_of("ablation", "{run}"),
    log:
        f"{RESULTS}/logs/ablation/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ablation/{{run}}.tsv"
    threads: 1
    resources:
        **resources_for(ATTENTION),
    params:
        **params_of("ablation/{run}"),
    message:
        "Switching off the heads of {wildcards.run}"
    shell:
        "logdepth ablation --model {input.model} --data {input.data} --output {output.table} "
        "{params.options} --threads {threads} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
