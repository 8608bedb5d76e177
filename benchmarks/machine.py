"""What a benchmark ran on, and writing its tables."""

import argparse
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import pandas as pd
import torch

from logdepth.files import write_text

ROOT = Path(__file__).parent.parent


def output_folder(description: str) -> Path:
    """Return the folder of the command line; one thread from here on."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=ROOT / "results/bench")
    torch.set_num_threads(1)
    return parser.parse_args().output


def machine() -> dict[str, object]:
    """Return CPU, versions, commit, and how busy the machine was."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    about = dict(map(str.strip, line.split(":", 1)) for line in info.splitlines() if ":" in line)
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return {
        "cpu": about.get("model name", platform.processor()),
        # A virtual machine may hide the name.
        "family_model": [about.get("cpu family"), about.get("model")],
        "cores": os.cpu_count(),
        # What torch and its libraries use; set by ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "limited_by": {
            name: os.environ[name]
            for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
            if name in os.environ
        },
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write the tables as CSV, the machine beside them, and print the tables."""
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4g"))
        print(f"\n{folder / name}.csv\n{table.to_string(index=False, float_format='%.4g')}")


def write_machine(folder: Path, name: str, about: dict[str, object]) -> None:
    """Write what ``machine`` returned, taken before the work."""
    write_text(folder / f"{name}.json", json.dumps(about, indent=1) + "\n")
