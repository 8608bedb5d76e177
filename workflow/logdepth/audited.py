"""What the audit is told of us."""

from audit_trail.project import Project
from logdepth.narrowing import narrow

PROJECT = Project(
    # k and j are columns of today; in results that are published they have longer names.
    letters={"k": "hops", "j": "jumps", "L": "depth", "H": "heads", "m": "width"},
    withheld=("*.safetensors", "runs/*/attention-*.csv"),
    narrow=narrow,
)
