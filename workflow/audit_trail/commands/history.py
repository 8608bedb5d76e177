"""``audit history``: every version of a file."""

from pathlib import Path
from typing import Annotated

import typer


def history(
    file: Annotated[
        Path, typer.Argument(help="An output or a record, such as results/laptop/tables/fits.csv.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every version that ever stood there, and what had changed."""
    import json

    from audit_trail.errors import printable
    from audit_trail.study import StudyFolder, open_history, study_of
    from audit_trail.versions import versions

    folder = study_of(file)
    name = StudyFolder(folder).name_of(file)
    found = versions(open_history(folder, name), name)
    if as_json:
        print(json.dumps({"file": str(file), **found}, indent=1))
        return
    count = len(found["versions"])
    lines = [f"{file}: {count} version{'s' if count > 1 else ''}; {found['state']}"]
    for row in found["versions"]:
        commit = f"{(row['commit'] or 'none')[:12]}{' + changes' if row['uncommitted'] else ''}"
        lines += [
            f"  line {row['line']}  {row['time'][:19]}  {row['sha256'][:12]}  commit {commit}",
            f"      {row['summary']}",
        ]
    print("\n".join(map(printable, lines)))
