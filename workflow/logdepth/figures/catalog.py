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
}
