"""``audit history``: every version of a file."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history")(history)


def history(
    file: Annotated[
        Path, typer.Argument(help="An output or a record, such as results/laptop/tables/fits.csv.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every version that ever stood there, and what had changed."""
    import dataclasses
    import json

    from audit_trail.errors import printable
    from audit_trail.study import StudyFolder, open_history, study_of
    from audit_trail.versions import present_state, versions

    folder = study_of(file)
    name = StudyFolder(folder).name_of(file)
    study = open_history(folder, name)
    found = versions(study, name)
    state = present_state(study, found, name)
    if as_json:
        listed = [
            {
                "line": version.entry.number,
                "time": version.entry.time,
                "sha256": version.sha256,
                "definition": version.record.definition,
                "commit": version.record.commit,
                "uncommitted": version.record.uncommitted,
                "same_bytes": version.repeated,
                "present": version.present,
                "changes": [dataclasses.asdict(change) for change in version.changes or ()],
            }
            for version in found
        ]
        print(json.dumps({"file": str(file), "state": state, "versions": listed}, indent=1))
        return
    lines = [f"{file}: {len(found)} version{'s' if len(found) > 1 else ''}; {state}"]
    for version in found:
        record = version.record
        commit = record.commit[:12] if record.commit else "none"
        lines += [
            f"  line {version.entry.number}  {version.entry.time[:19]}  {version.sha256[:12]}  "
            f"commit {commit}{' + changes' if record.uncommitted else ''}",
            f"      {version.summary}",
        ]
    print("\n".join(printable(line) for line in lines))
