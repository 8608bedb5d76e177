"""Signing the head of a history with an SSH key, and checking such signatures.

The chain of a history shows a change within it; a history that was written anew as a whole shows
nothing. A signature of its last line does.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from audit_trail.findings import Problem, State
from audit_trail.study import StudyFolder
from logdepth.canonical import canonical_json
from logdepth.errors import UserError
from logdepth.files import atomic_path
from logdepth.provenance.format import PROVENANCE

FOLDER = f"{PROVENANCE}/signatures"
NAMESPACE = "logdepth"
_TYPE = "urn:logdepth:head:v1"


def sign(study: StudyFolder, key: Path) -> Path:
    """Sign the head of a study's history; return the file that was signed, <file>.sig is beside it.

    Args:
        study: whose history is to be signed as it is now.
        key: a private SSH key, or a public one whose private key the agent has.

    Raises:
        UserError: no history, or ssh-keygen does not sign.
    """
    history = study.history
    if history.head is None:
        raise UserError(f"{study.folder}: no history to sign; expected a finished study")
    if not key.is_file():
        raise UserError(f"{key}: no such key; expected --key ~/.ssh/id_ed25519, or another")
    entries = len(history.hashes)
    head = {"type": _TYPE, "study": study.name, "entries": entries, "head": history.head}
    target = study.path(f"{FOLDER}/{entries:06d}-{history.head[:12]}.json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / target.name
        file.write_text(canonical_json(head) + "\n")
        done = _ssh_keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
        if done.returncode:
            raise UserError(f"{key}: ssh-keygen does not sign with it: {_last_line(done.stderr)}")
        # The signature first: what is signed never stands there without it.
        for source in (file.with_name(f"{file.name}.sig"), file):
            with atomic_path(target.with_name(source.name)) as temporary:
                shutil.copyfile(source, temporary)
    return target


def check_signatures(study: StudyFolder, signers: Path | None) -> tuple[list[Problem], list[str]]:
    """Return what is wrong with the signatures of a history, and notes about the good ones.

    Args:
        study: whose signatures to check.
        signers: who may sign, in OpenSSH's format of allowed signers: the newest line must then be
            signed by one of them. None: signatures are only compared with the history.

    Raises:
        UserError: no file of signers, or no ssh-keygen.
    """
    if signers is not None and not signers.is_file():
        raise UserError(
            f"{signers}: no such file; expected a file with a line 'name key-type key' for "
            "each who may sign"
        )
    problems: list[Problem] = []
    notes: list[str] = []
    signed = 0
    for path in sorted(study.path(FOLDER).glob("*.json")):
        entries = _signed_entries(path, study)
        if entries is None:
            detail = f"is not the one that {path.name} was signed for"
            problems.append(Problem(State.BROKEN_CHAIN, "signature", detail))
        elif signers is not None:
            signer = _signer(path, signers)
            if signer is None:
                notes.append(f"{path.name} is signed by none of {signers}")
            else:
                notes.append(f"lines 1 to {entries} are signed by {signer}")
                signed = max(signed, entries)
    if signers is not None and not problems and signed < len(study.history.hashes):
        detail = (
            f"has {len(study.history.hashes) - signed} lines after the last that is signed"
            if signed
            else f"is signed by none of {signers}"
        )
        problems.append(Problem(State.BROKEN_CHAIN, "signature", detail))
    return problems, notes


def _signed_entries(path: Path, study: StudyFolder) -> int | None:
    """Return how many lines of the history a signed file is about; None if it is about another."""
    try:
        content: Any = json.loads(path.read_bytes())
        entries = int(content["entries"])
        fits = content["type"] == _TYPE and content["head"] == study.history.hashes[entries - 1]
    except (ValueError, KeyError, TypeError, IndexError, OSError, RecursionError):
        return None
    return entries if fits and entries > 0 else None


def _signer(path: Path, signers: Path) -> str | None:
    """Return who of the signers has signed a file, if one has."""
    signature = str(path.with_name(f"{path.name}.sig"))
    found = _ssh_keygen("-Y", "find-principals", "-s", signature, "-f", str(signers))
    for principal in found.stdout.split("\n"):
        if not principal:
            continue
        options = ["-f", str(signers), "-I", principal, "-n", NAMESPACE, "-s", signature]
        done = _ssh_keygen("-Y", "verify", *options, text=path.read_text(encoding="utf-8"))
        if done.returncode == 0:
            return principal
    return None


def _ssh_keygen(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=text, capture_output=True, text=True, timeout=120
        )
    except FileNotFoundError as error:
        raise UserError(
            "ssh-keygen: no such command, but signatures need it; expected OpenSSH 8.2 or newer"
        ) from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
