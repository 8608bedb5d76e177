"""The description of a cluster: a file, the environment, and mistakes in either."""

import json
import os

import pytest
from ruamel.yaml import YAML

from logdepth.errors import ConfigError
from logdepth.planning.site import Site, read_site


@pytest.fixture
def read(tmp_path):
    """Reads a site from a text and variables; a text of None is an absent file."""

    def reader(text=None, **environ):
        path = tmp_path / "site.yaml"
        if text is not None:
            path.write_text(text)
        return read_site(path, {"PATH": "/bin", "HOME": "/"} | environ)

    return reader


def test_without_file_and_variables_there_are_defaults(read):
    assert read() == read("") == read("# nothing\n") == Site()
    site = read()
    assert (site.gpu, site.cpus_per_gpu, site.training_device) == ("T4", 8, "cuda")
    assert site.max_minutes == 1440
    assert site.gpu_device is not None


def test_variables_win_over_the_file(read):
    text = "partition: gpu\naccount: abc@a100\ncpus_per_gpu: 4\nmax_hours: 0.5\n"
    site = read(
        text, LOGDEPTH_PARTITION="gpu-long,gpu", LOGDEPTH_ACCOUNT="", LOGDEPTH_GPU="a100 80gb"
    )
    assert site.partition == "gpu-long,gpu"
    assert site.account == "abc@a100"
    assert (site.cpus_per_gpu, site.max_minutes) == (4, 30)
    assert site.gpu == "A100-80GB"
    assert read(text, LOGDEPTH_CPUS_PER_GPU="16").cpus_per_gpu == 16
    assert read("together: fastest\n").together == "fastest"
    assert read("together: fastest\n", LOGDEPTH_TOGETHER="8").together == 8


def test_a_variable_names_another_file_that_must_exist(read, tmp_path):
    other = tmp_path / "other.yaml"
    with pytest.raises(ConfigError, match=r"other.yaml: no such file; expected a copy of"):
        read(LOGDEPTH_SITE=str(other))
    other.write_text("qos: short\n")
    assert read("qos: long\n", LOGDEPTH_SITE=str(other)).qos == "short"
    assert read("qos: long\n", LOGDEPTH_SITE="").qos == "long"


@pytest.mark.parametrize("name", ["none", "None", "NONE"])
def test_a_cluster_may_have_no_gpu(read, name):
    site = read(LOGDEPTH_GPU=name)
    assert (site.gpu, site.gpu_device, site.training_device) == ("none", None, "cpu")


def test_training_never_falls_back_to_a_cpu_by_itself():
    assert Site(gpu="V100").training_device == "cuda"
    assert Site(gpu="V100", device="cpu").training_device == "cpu"


def test_jobs_without_gpu_have_a_partition_of_their_own():
    site = Site(partition="gpu", cpu_partition="cpu")
    assert (site.partition_of(gpu=True), site.partition_of(gpu=False)) == ("gpu", "cpu")
    assert Site(partition="gpu").partition_of(gpu=False) == "gpu"
    assert Site().partition_of(gpu=True) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitoin: gpu", r"site.yaml: unknown key 'partitoin', did you mean 'partition'\?"),
        ("cpus_per_gpu: many", r"site.yaml: cpus_per_gpu: input should be a valid integer.*'many'"),
        ("cpus_per_gpu: 0", r"site.yaml: cpus_per_gpu: .*greater than or equal to 1, not 0"),
        ("cpus_per_gpu: 129", r"site.yaml: cpus_per_gpu: .*less than or equal to 128"),
        ("together: fast", r"site.yaml: together: is 'fast'; expected fastest, or a number from"),
        ("together: 0", r"site.yaml: together: is 0; expected fastest, or a number from 1 to 64$"),
        ("together: 65", r"site.yaml: together: is 65; expected fastest"),
        ("together: 2.0", r"site.yaml: together: is 2.0; expected fastest"),
        ("max_hours: 0", r"site.yaml: max_hours: .*greater than 0"),
        ("max_hours: .inf", r"site.yaml: max_hours: .*finite"),
        ("gpu: A1000", r"site.yaml: gpu: is 'A1000'; expected none, A100-40GB,.*T4"),
        ("gpu: cpu", r"site.yaml: gpu: is 'cpu'; expected none,"),
        ("device: gpu", r"site.yaml: device: input should be 'cuda' or 'cpu', not 'gpu'"),
        ("gpu: none\ndevice: cuda", r"site.yaml: device: is cuda, but gpu is none"),
        ("account: 1234", r"site.yaml: account: is 1234; expected text, such as '1234' in"),
        (
            "mail_types: FIAL",
            r"site.yaml: mail_types: is 'FIAL'; expected some of NONE, BEGIN",
        ),
        ('extra: "--x=\'"', r"site.yaml: extra: .*quotes come in pairs"),
        ("extra: exclusive", r"site.yaml: extra: .*options of sbatch in one line"),
        ('extra: "--x\\n--y"', r"site.yaml: extra: .*options of sbatch in one line"),
        ("- partition", r"site.yaml: expected 'key: value' lines, as in profiles/slurm"),
        ("partition: [", r"site.yaml: not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(read, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        read(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "key", ["partition", "cpu_partition", "account", "qos", "gpu_model", "mail"]
)
@pytest.mark.parametrize("value", ["a b", "$(id)", "a;b", "-x", "", "a\n", "'a'", "a/b", "ä"])
def test_what_a_shell_would_read_is_refused(read, key, value):
    with pytest.raises(ConfigError, match=f"site.yaml: {key}: is .*expected") as error:
        read(json.dumps({key: value}))
    assert "\n" not in str(error.value)


def test_names_that_clusters_have_are_taken():
    Site(
        account="abc@v100", qos="qos_gpu-t3", gpu_model="nvidia_a100_3g.39gb", mail="me@example.org"
    )
    Site(mail_types="FAIL,TIME_LIMIT_90", extra="--constraint='a100&nvlink' --exclude=n1")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOGDEPTH_CPUS_PER_GPU", "x", r"^LOGDEPTH_CPUS_PER_GPU: input should be a valid integer"),
        ("LOGDEPTH_TOGETHER", "all", r"^LOGDEPTH_TOGETHER: is 'all'; expected fastest, or a"),
        ("LOGDEPTH_GPU", "T5", r"^LOGDEPTH_GPU: is 'T5'; expected none,"),
        ("LOGDEPTH_PARTITON", "gpu", r"^LOGDEPTH_PARTITON: .*did you mean LOGDEPTH_PARTITION\?"),
        ("LOGDEPTH_CPU_PER_GPU", "8", r"^LOGDEPTH_CPU_PER_GPU: .*mean LOGDEPTH_CPUS_PER_GPU\?"),
        ("LOGDEPTH_GPUS", "T4", r"^LOGDEPTH_GPUS: .*did you mean LOGDEPTH_GPU\?"),
        ("LOGDEPTH_MAILTYPES", "T4", r"^LOGDEPTH_MAILTYPES: .*did you mean LOGDEPTH_MAIL_TYPES\?"),
    ],
)
def test_a_mistake_in_a_variable_names_it(read, name, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        read("gpu: V100\n", **{name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["DEFINITION", "IMAGE_SHA256", "TRACEBACK", "RELEASED", "WHATEVER"]
)
def test_other_variables_of_the_project_are_no_mistakes(read, name):
    assert read(**{f"LOGDEPTH_{name}": "x"}) == Site()


def test_every_mistake_has_a_line_with_its_source(read):
    with pytest.raises(ConfigError) as error:
        read("cpus_per_gpu: 0\n", LOGDEPTH_MAX_HOURS="-1")
    first, second = str(error.value).splitlines()
    assert "site.yaml: cpus_per_gpu" in first
    assert second.startswith("LOGDEPTH_MAX_HOURS: ")


def test_the_example_has_every_key_with_its_default(root):
    text = (root / "profiles/slurm/site.example.yaml").read_text()
    head, *keys = text.strip().split("\n\n")
    assert all(line.startswith("# ") for line in head.splitlines())
    assert keys == [
        f"# {field.description}\n#{name}: {json.dumps(getattr(Site(), name))}"
        for name, field in Site.model_fields.items()
    ]
    plain = "\n".join(key.splitlines()[1].removeprefix("#") for key in keys)
    assert Site.model_validate(YAML(typ="safe").load(plain)) == Site()


def test_the_environment_of_this_process_is_no_site(tmp_path):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LOGDEPTH_")}
    assert read_site(tmp_path / "site.yaml", environ) == Site()
