"""A Slurm with slurmdbd: its accounts are checked, and sacct is asked for the state of jobs."""

ACCOUNTING = True


def test_a_wrong_account_stops_before_anything_is_submitted(make, cluster, tmp_path):
    printed = make(tmp_path / "checkout").start(LOGDEPTH_ACCOUNT="nosuch").finish(ok=False)
    assert "Slurm refuses jobs" in printed
    assert "--account=nosuch" in printed
    assert cluster.jobs() == {}


def test_a_wrong_quality_of_service_stops_before_anything_is_submitted(make, cluster, tmp_path):
    printed = make(tmp_path / "checkout").start(LOGDEPTH_QOS="nosuch").finish(ok=False)
    assert "Slurm refuses jobs" in printed
    assert "--qos=nosuch" in printed


def test_runs_with_an_account_by_sacct(make, cluster, tmp_path):
    checkout = make(tmp_path / "checkout")
    started = checkout.start("runs", LOGDEPTH_ACCOUNT="lab", LOGDEPTH_MAIL="somebody@example.org")
    printed = started.finish()
    assert "sacct does not answer" not in printed
    for number in started.submitted():
        shown = cluster.job(number)
        assert shown["Account"] == "lab"
        assert shown["MailUser"] == "somebody@example.org"
