"""Signing the head of a history with an SSH key, and checking such signatures.

The chain of a history shows a change within it; a history that was written anew as a whole shows
nothing, and a signature of its last line does. It says who vouched for the study as it was then. It
cannot say that this is the newest state: who takes away lines at the end, with the signatures of
them, leaves an older state that was signed as well. The number of lines of a later one, known from
elsewhere, shows it.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import canonical_json, read_bytes, write_bytes
from audit_trail.findings import Findings, Problem, State
from audit_trail.format import HEAD_TYPE, HISTORY, NAMESPACE, SIGNATURES
from audit_trail.study import StudyFolder, files_below

_NAME = re.compile(rf"{SIGNATURES}/([0-9]{{6,9}})-[0-9a-f]{{12}}\.json")
# A signature of OpenSSH, for what it is: nothing else is published as one.
_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n"
)
_MAX = 1 << 16

# How many lines of a history it is about, its bytes, and those of its signature.
Signed = tuple[int, bytes, bytes]


def sign(study: StudyFolder, key: Path) -> Path:
    """Sign the head of a study's history; return the file that was signed, next to its ``.sig``.

    The key is a private SSH key, or a public one whose private key the agent has. An AuditError
    says that there is no history or no key, or that ssh-keygen does not sign.
    """
    if not study.history.hashes:
        raise AuditError(f"{study.folder}: no history to sign; expected a finished study")
    if not key.is_file():
        raise AuditError(f"{key}: no such key; expected --key ~/.ssh/id_ed25519, or another")
    name, text = _head(study, len(study.history.hashes))
    done = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, text=text)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise AuditError(f"{key}: ssh-keygen does not sign with it: {reason}")
    # The signature first: what is signed never stands there without it.
    write_bytes(study.path(f"{name}.sig"), done.stdout)
    write_bytes(study.path(name), text)
    return study.path(name)


def signatures(study: StudyFolder) -> tuple[dict[str, Signed], dict[str, Problem]]:
    """Return the signed heads of a study by name, and what else lies below provenance/signatures/.

    A head that is good has a signature next to it, ``.sig``; whatever is neither is wrong.
    """
    good: dict[str, Signed] = {}
    wrong: dict[str, Problem] = {}
    names = [name for name, _ in files_below(study.folder, SIGNATURES)]
    for name in names:
        head = name.removesuffix(".sig")
        found = _NAME.fullmatch(head)
        if not found or head not in names:
            wrong[name] = Problem(State.FOREIGN, "foreign", "is no signature of this history")
            continue
        signed = _signed(study, head, int(found[1]))
        if isinstance(signed, str):
            wrong[name] = Problem(State.BROKEN_CHAIN, "signature", signed)
        else:
            good[head] = signed
    return good, wrong


def check_signatures(study: StudyFolder, signers: Path | None, findings: Findings) -> None:
    """Add what is wrong with the signatures of a history, and notes on the others.

    Without signers, a file in OpenSSH's format that comes from whoever asks and never with the
    results, they are only compared with the history; else one of these must have signed its newest
    line. An AuditError says that there is no file of signers, or no ssh-keygen.
    """
    if signers is not None and not signers.is_file():
        expected = "expected a file with a line 'name key-type key' for each who may sign"
        raise AuditError(f"{signers}: no such file; {expected}")
    good, wrong = signatures(study)
    for name, problem in wrong.items():
        findings.add(name, problem)
    newest, total = 0, len(study.history.hashes)
    for name, (lines, content, armour) in good.items():
        findings.add(name)
        findings.add(f"{name}.sig")
        if signer := signers and _signer(content, armour, signers):
            newest = max(newest, lines)
        by = f" by {signer or f'none of {signers}'}" if signers else "; --signers FILE asks by whom"
        findings.notes.append(f"lines 1 to {lines} are signed{by}")
    if signers is not None and newest < max(total, 1):
        some = f"has {total - newest} lines after the last that is signed by one of {signers}"
        detail = some if newest else f"is signed by none of {signers}"
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "signature", detail))


def _head(study: StudyFolder, lines: int) -> tuple[str, bytes]:
    """Return the name of the file that is signed for so many lines of a history, and its bytes."""
    head = study.history.hashes[lines - 1]
    said = {"type": HEAD_TYPE, "study": study.name, "entries": lines, "head": head}
    return f"{SIGNATURES}/{lines:06d}-{head[:12]}.json", f"{canonical_json(said)}\n".encode()


def _signed(study: StudyFolder, name: str, lines: int) -> Signed | str:
    """Return what is signed of the history, and the signature; or why nothing is."""
    paths = (study.path(f"{name}{end}") for end in ("", ".sig"))
    try:
        text, signature = (read_bytes(path, study.folder, _MAX) for path in paths)
    except BadFileError as error:
        return error.reason
    if not 0 < lines <= len(study.history.hashes) or (name, text) != _head(study, lines):
        return f"was signed for another history than this one, or another study than {study.name}"
    if not _ARMOUR.fullmatch(signature):
        return "is signed by what is no signature of OpenSSH"
    return lines, text, signature


def _signer(content: bytes, armour: bytes, signers: Path) -> str | None:
    """Return who of the signers has signed a text, if one has."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(armour)
        file.flush()
        place = ["-f", str(signers), "-s", file.name]
        found = _ssh_keygen("find-principals", *place)
        for principal in found.stdout.decode(errors="replace").split("\n"):
            options = [*place, "-n", NAMESPACE, "-I", principal]
            if principal and not _ssh_keygen("verify", *options, text=content).returncode:
                return principal
    return None


def _ssh_keygen(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        command = ["ssh-keygen", "-Y", *arguments]
        return subprocess.run(command, input=text, capture_output=True, timeout=120)
    except FileNotFoundError as error:
        raise AuditError("ssh-keygen: no such command; expected OpenSSH 8.2 or newer") from error
