"""What a site asks of Slurm in every job."""

import shlex
import subprocess

from logdepth.errors import UserError
from logdepth.planning.site import Site


def options_of(site: Site, *, gpu: bool) -> dict[str, str]:
    """Return what a site asks for in every job, as resources of the slurm executor."""
    extra = [site.extra, "--open-mode=append"]  # a requeued job goes on in the same log
    if site.mail:
        extra += [f"--mail-user={site.mail}", f"--mail-type={site.mail_types}"]
    given = {
        "slurm_partition": site.partition_of(gpu=gpu),
        "slurm_account": site.account,
        "qos": site.qos,
        "gpu_model": site.gpu_model if gpu else None,
        "slurm_extra": " ".join(filter(None, extra)),
    }
    return {name: value for name, value in given.items() if value}


def try_options(site: Site, *, gpu: bool) -> None:
    """Ask Slurm whether it would take a job with the site's options.

    Raises:
        UserError: it would not, or it does not answer.
    """
    options = options_of(site, gpu=gpu)
    flags = {"slurm_partition": "--partition", "slurm_account": "--account", "qos": "--qos"}
    command = ["sbatch", "--test-only", "--ntasks=1", "--time=1", "--output=/dev/null"]
    command += [f"{flag}={options[name]}" for name, flag in flags.items() if name in options]
    command += shlex.split(options["slurm_extra"])
    if gpu:
        command.append(f"--gpus={site.gpu_model}:1" if site.gpu_model else "--gpus=1")
    try:
        tried = subprocess.run(
            [*command, "--wrap=true"], capture_output=True, text=True, timeout=120
        )
    except FileNotFoundError as error:
        raise UserError("sbatch: no such command; expected a machine of a cluster") from error
    except subprocess.TimeoutExpired as error:
        raise UserError("Slurm did not answer sbatch --test-only within 2 minutes") from error
    if tried.returncode:
        kind = "with a GPU" if gpu else "without a GPU"
        said = " ".join(tried.stderr.replace("allocation failure:", "").split())
        raise UserError(
            f"Slurm refuses jobs {kind}: {said}. Asked for: {shlex.join(command[2:])}. Expected "
            "names that Slurm knows in site.yaml or LOGDEPTH_PARTITION, _ACCOUNT, _QOS, _GPU_MODEL"
        )
