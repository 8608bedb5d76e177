# Targets below `all`: ask for a stage by name, or for any single file.
localrules:
    runs,
    tables,
    figures,


rule runs:
    input:
        RUN_OUTPUTS,


rule tables:
    input:
        TABLE_OUTPUTS,


rule figures:
    input:
        FIGURE_OUTPUTS,
