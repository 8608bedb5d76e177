"""The tables of the theory, and the module that makes each by its function ``table``."""

CHECKS = (
    "construction",
    "compiled_models",
    "counterexamples",
    "protocols",
    "routing",
    "attention_layers",
    "trained_models",
    "round_trips",
    "reductions",
)
MEASUREMENTS = (
    "temperatures",
    "formats",
    "construction_sizes",
    "routing_width",
    "table_losses",
    "attention_cost",
    "protocol_rounds",
    "component_rounds",
)
EXECUTIONS = (
    "mpc_execution",
    "routing_example",
    "mpc_as_attention",
    "attention_as_mpc",
)
# What is about the models of a study, not about instances drawn for it.
OF_MODELS = ("trained_models",)

TABLES = {
    name: f"logdepth.theory.{folder}.{name}"
    for folder, names in (
        ("checks", CHECKS),
        ("measurements", MEASUREMENTS),
        ("executions", EXECUTIONS),
    )
    for name in names
}
