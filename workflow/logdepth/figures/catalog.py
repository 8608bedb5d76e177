"""Which kinds of figures there are, and the tables each is drawn from."""

FIGURES: dict[str, tuple[str, ...]] = {
    "depth_law": ("thresholds", "scaling"),
    "error_by_hops": ("errors",),
    "error_by_depth": ("errors",),
    "error_heatmap": ("errors",),
    "error_contrast": ("errors",),
    "training_curves": ("training",),
    "comparison": ("comparison",),
    "alignment": ("alignment",),
    "best_alignment": ("alignment",),
    "attention_maps": ("attention", "alignment"),
    "construction_depth": ("solved_depths",),
    "temperature": ("temperatures",),
    "precision": ("formats",),
    "routing_width": ("routing_width", "table_losses"),
    "attention_cost": ("attention_cost",),
    "protocol_rounds": ("protocol_rounds", "component_rounds"),
    "mpc_execution": ("mpc_execution",),
    "routing_example": ("routing_example",),
    "mpc_as_attention": ("mpc_as_attention",),
    "attention_as_mpc": ("attention_as_mpc",),
}
