# The workflow: rules by stage, from configuration to figures. Start with README.md.
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/study.smk"
include: "workflow/rules/helpers.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/audit.smk"


report: "workflow/report/study.rst"


# The default target of an included file would not count.
localrules:
    all,


rule all:
    default_target: True
    input:
        SELECTION_TARGETS,
        TARGETS,
    message:
        WHAT_IS_DONE


if not DEFINITION_FROM_SUBMITTER:
    for made in workflow.rules:
        if "record" in made.output.keys():
            made.set_input(forced_if_stale(made.output.record))
