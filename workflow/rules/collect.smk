# Targets below `all`: ask for a stage by name, or for any single file.
localrules:
    runs,
    tables,
    figures,


rule runs:
    input:
        [output for output in OUTPUTS if output.startswith(f"{RESULTS}/runs/")],


rule tables:
    input:
        expand("{results}/tables/{table}.csv", results=RESULTS, table=TABLES),


rule figures:
    input:
        expand(
            "{results}/figures/{figure}.{kind}",
            results=RESULTS,
            figure=FIGURES,
            kind=["pdf", "png", "csv"],
        ),
