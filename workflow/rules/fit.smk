# Thresholds and growth laws, and what each depth solves beside other studies.
from logdepth.tasks.hop import Hop


rule fit:
    input:
        files_of(RUNS, "evaluation.csv"),
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
        **params_of("fit/fits"),
    message:
        "Fitting thresholds and growth laws"
    shell:
        "logdepth fit --study {params.study} --runs {params.runs} {params.options} "
        "--output {params.tables} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"


rule solved_depths:
    input:
        thresholds=f"{RESULTS}/tables/thresholds.csv",
        beside=[f"{other.results}/tables/thresholds.csv" for other in STUDY.beside],
        published=PUBLISHED if STUDY.task == Hop() else [],
    output:
        table=f"{RESULTS}/tables/solved_depths.csv",
        record=record_of("depths", "solved_depths"),
    log:
        f"{RESULTS}/logs/depths/solved_depths.log",
    benchmark:
        f"{RESULTS}/benchmarks/depths/solved_depths.tsv"
    localrule: True
    threads: 1
    params:
        **params_of("depths/solved_depths"),
        published=lambda wildcards, input: repeated(
            "published", [input.published] if input.published else []
        ),
    message:
        "What each depth solves, beside others"
    shell:
        "logdepth depths --study {params.study} --thresholds {input.thresholds} "
        "{params.options} {params.published} --output {output.table} "
        "--definition {params.definition} --record {output.record} > {log} 2>&1"
