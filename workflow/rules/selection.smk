# Settings that are chosen by trials, before an experiment is trained in earnest. What was chosen is
# known when the workflow is parsed again: `make` does both.
SELECTION_TARGETS = [
    f"{RESULTS}/selection/{experiment}.{kind}"
    for experiment in RESOLVED.trials
    for kind in ("json", "csv")
] + records(*(f"select/{experiment}" for experiment in RESOLVED.trials))

TRIAL_DATA = {
    run: trials.data_name
    for trials in RESOLVED.trials.values()
    for run in trials.by_name
}


localrules:
    selected,


rule selected:
    input:
        SELECTION_TARGETS,


use rule evaluate as trial with:
    input:
        model=f"{RESULTS}/runs/{{run}}/model.safetensors",
        data=lambda wildcards: f"{RESULTS}/data/{TRIAL_DATA[wildcards.run]}.safetensors",
    output:
        table=f"{RESULTS}/runs/{{run}}/trial.csv",
        record=record_of("trial", "{run}"),
    log:
        f"{RESULTS}/logs/trial/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/trial/{{run}}.tsv"
    wildcard_constraints:
        run=one_of(TRIALS),
    params:
        **params_of("trial/{run}"),
    message:
        "Measuring the trial {wildcards.run}"


rule select:
    input:
        lambda wildcards: files_of(
            RESOLVED.trials[wildcards.experiment].by_name, "trial.csv"
        ),
    output:
        choice=f"{RESULTS}/selection/{{experiment}}.json",
        table=f"{RESULTS}/selection/{{experiment}}.csv",
        record=record_of("select", "{experiment}"),
    log:
        f"{RESULTS}/logs/select/{{experiment}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/select/{{experiment}}.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("select/{experiment}"),
        folder=lambda wildcards: f"{RESULTS}/selection",
    message:
        "Choosing the settings of {wildcards.experiment}"
    shell:
        "logdepth select {params.options} --study {params.study} --runs {params.runs} "
        "--output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
