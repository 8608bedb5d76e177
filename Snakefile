# The workflow: rules by stage, from configuration to figures. Start with README.md.
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/attention.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/audit.smk"


report: "workflow/report/study.rst"


localrules:
    all,


rule all:
    default_target: True
    input:
        f"{RESULTS}/data/evaluation.safetensors",
        record_of("data", "evaluation"),
        RUN_OUTPUTS,
        TABLE_OUTPUTS,
        FIGURE_OUTPUTS,
        TRACES.values(),
    message:
        f"The study '{STUDY.study}' is complete: {RESULTS}/figures, {RESULTS}/tables"
