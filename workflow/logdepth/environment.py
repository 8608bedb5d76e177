"""The user's environment, without what would change our outputs."""

import os

# They choose kernels and the bits of a product, or say how to draw. ATEN_CPU_CAPABILITY stays: each
# record has what came of it.
_NOT_OURS = (
    *("DNNL_", "MKL_", "NPY_", "ONEDNN_", "OPENBLAS_"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("MATPLOTLIBRC", "MPLBACKEND"),
)


def settle() -> None:
    """Leave in the environment of this process only what changes no bit of an output.

    To be called before torch, numpy or matplotlib is imported, which read it then.
    """
    for name in [name for name in os.environ if name.startswith(_NOT_OURS)]:
        del os.environ[name]
    # Sums depend on it; what trains and evaluates has an option.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
