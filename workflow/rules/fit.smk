rule fit:
    input:
        expand(
            "{results}/runs/{run}/{name}",
            results=RESULTS,
            run=RUNS,
            name=["run.json", "evaluation.csv"],
        ),
    output:
        thresholds=report(
            f"{RESULTS}/tables/thresholds.csv",
            caption="../report/thresholds.rst",
            category="Tables",
            labels={"table": "largest solved k"},
        ),
        scaling=report(
            f"{RESULTS}/tables/scaling.csv",
            caption="../report/scaling.rst",
            category="Tables",
            labels={"table": "growth with depth"},
        ),
        record=record_of("fit", "fits"),
    log:
        f"{RESULTS}/logs/fit/fits.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit/fits.tsv"
    localrule: True
    threads: 1
    params:
        runs=runs_folder,
        experiments=experiments_of(EXPERIMENTS),
        thresholds=options("threshold", STUDY.fit.thresholds),
        bootstrap=STUDY.fit.bootstrap,
        seed=STUDY.fit.seed,
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        definition=defined_by("fit/fits"),
    message:
        "Fitting thresholds and growth laws"
    shell:
        "logdepth fit --runs {params.runs} {params.experiments} {params.thresholds} "
        "--bootstrap {params.bootstrap} --seed {params.seed} --output {params.folder} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
