"""Published peak rates of named GPUs, and the range of times they allow for a training step."""

import math
from dataclasses import dataclass

from logdepth.errors import UserError

# Eager PyTorch launches kernels one after another; about 5 us is what the driver itself takes, and
# about 20 us what a small operation takes from Python through autograd.
LAUNCH_SECONDS = (5e-6, 20e-6)
# A kernel keeps the GPU for so long however little it does; assumed. The kernels of one process
# leave it free in between, those of several processes run in turn.
KERNEL_SECONDS = 2e-6
# Small matrices fill neither arithmetic nor memory bus: shares of the peaks assumed at worst.
WORST_ARITHMETIC = 0.1
WORST_BANDWIDTH = 0.5


@dataclass(frozen=True)
class Device:
    """A GPU by its vendor data sheet.

    Attributes:
        name: as given to ``--device``.
        float32: peak of plain float32, in FLOP/s.
        bfloat16: peak of bfloat16 tensor cores without sparsity, in FLOP/s; None without them.
        memory: GPU memory in bytes.
        bandwidth: of that memory, in bytes/s.
    """

    name: str
    float32: float
    bfloat16: float | None
    memory: int
    bandwidth: float

    def rate(self, precision: str) -> float:
        """Return the peak in FLOP/s; without tensor cores everything runs as float32.

        Those for bfloat16 do half as much in TF32.
        """
        part = {"float32": 0, "tf32": 0.5, "bfloat16": 1}[precision]
        return part * self.bfloat16 if self.bfloat16 and part else self.float32


# Vendor data sheets and architecture white papers (NVIDIA), in their units: TFLOP/s of float32 and
# of bfloat16 with float32 accumulation, GiB and GB/s.
_SHEETS: dict[str, tuple[float, float | None, int, float]] = {
    "A100-40GB": (19.5, 312, 40, 1555),
    "A100-80GB": (19.5, 312, 80, 2039),
    "H100-SXM": (67, 989, 80, 3350),
    "H100-PCIe": (51, 756, 80, 2000),
    "H200": (67, 989, 141, 4800),
    "V100": (15.7, None, 16, 900),
    "T4": (8.1, None, 16, 320),
    "A10": (31.2, 125, 24, 600),
    "A40": (37.4, 149.7, 48, 696),
    "L4": (30.3, 121, 24, 300),
    "L40S": (91.6, 362, 48, 864),
    "RTX-3090": (35.6, 71, 24, 936),
    "RTX-4090": (82.6, 165.2, 24, 1008),
}
DEVICES = {
    name: Device(name, f32 * 1e12, bf16 and bf16 * 1e12, gib * 2**30, rate * 1e9)
    for name, (f32, bf16, gib, rate) in _SHEETS.items()
}


def find_device(name: str) -> Device | None:
    """Return the GPU of that name, in any case and with or without hyphens; None for "cpu".

    Raises:
        UserError: not a known name; the message lists those that are.
    """
    device = named(name)
    if device is None and _plain(name) != "cpu":
        known = ", ".join(DEVICES)
        raise UserError(f"--device {name}: not a known device; expected cpu, {known}")
    return device


def named(name: str) -> Device | None:
    """Return the GPU of that name, in any case and with or without hyphens, or None."""
    wanted = _plain(name)
    return next((device for device in DEVICES.values() if _plain(device.name) == wanted), None)


def step_range(
    device: Device, precision: str, *, flops: int, traffic: int, kernels: int
) -> tuple[float, float]:
    """Return the least and the most seconds that a training step should take on a GPU.

    The least is a bound: arithmetic, memory and launches all at their peaks and at the same time.
    The most is an assumption: a tenth of the arithmetic, half the bandwidth, 20 us a launch, one
    after the other.

    Args:
        device: the GPU.
        precision: of the matrix products.
        flops: floating-point operations of the step.
        traffic: bytes of memory it reads and writes.
        kernels: operations it launches.
    """
    arithmetic = flops / device.rate(precision)
    memory = traffic / device.bandwidth
    least = max(arithmetic, memory, kernels * LAUNCH_SECONDS[0])
    most = arithmetic / WORST_ARITHMETIC + memory / WORST_BANDWIDTH + kernels * LAUNCH_SECONDS[1]
    return least, most


def busy_share(device: Device, precision: str, *, flops: int, traffic: int, kernels: int) -> float:
    """Return the part of its longest step that a process should keep a GPU busy, below 1.

    While a process prepares launches, kernels of others can run. As long as the parts of all
    add up to 1 at most, each still takes the longest time of ``step_range`` for a step, if the
    GPU does as well as half-way (on a logarithmic scale) between the peaks and the worst that this
    time allows for. So what shares a GPU uses up what that time has to spare, and a model that
    leaves a GPU idle is never alone on it for caution's sake. The arguments are those of
    ``step_range``.
    """
    _, most = step_range(device, precision, flops=flops, traffic=traffic, kernels=kernels)
    arithmetic = flops / device.rate(precision) / math.sqrt(WORST_ARITHMETIC)
    memory = traffic / device.bandwidth / math.sqrt(WORST_BANDWIDTH)
    return (arithmetic + memory + kernels * KERNEL_SECONDS) / most


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
