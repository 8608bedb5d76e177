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
from audit_trail.files import canonical_json, parse_json, read_bytes, write_bytes
from audit_trail.findings import Findings, Problem, State
from audit_trail.format import HEAD_TYPE, HISTORY, NAMESPACE, SIGNATURES
from audit_trail.study import StudyFolder, files_below

_NAME = re.compile(rf"{SIGNATURES}/[0-9]{{6,9}}-[0-9a-f]{{12}}\.json")
# A signature of OpenSSH, for what it is: nothing else is published as one.
_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n"
)
_MAX = 1 << 16

# How many lines of a history it is about, its bytes, and those of its signature.
Signed = tuple[int, bytes, bytes]


def sign(study: StudyFolder, key: Path) -> Path:
    """Sign the head of a study's history; return the file that was signed, next to its ``.sig``.

    The key is a private SSH key, or a public one whose private key the agent has.

    Raises:
        AuditError: no history, or ssh-keygen does not sign.
    """
    if not study.history.hashes:
        raise AuditError(f"{study.folder}: no history to sign; expected a finished study")
    lines, head = len(study.history.hashes), study.history.hashes[-1]
    if not key.is_file():
        raise AuditError(f"{key}: no such key; expected --key ~/.ssh/id_ed25519, or another")
    target = study.path(f"{SIGNATURES}/{lines:06d}-{head[:12]}.json")
    said = {"type": HEAD_TYPE, "study": study.name, "entries": lines, "head": head}
    text = f"{canonical_json(said)}\n".encode()
    done = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, text=text)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise AuditError(f"{key}: ssh-keygen does not sign with it: {reason}")
    # The signature first: what is signed never stands there without it.
    write_bytes(target.with_name(f"{target.name}.sig"), done.stdout)
    write_bytes(target, text)
    return target


def signatures(study: StudyFolder) -> tuple[dict[str, Signed], dict[str, Problem]]:
    """Return the signed heads of a study by name, and what else lies below provenance/signatures/.

    A head that is good has a signature next to it, ``.sig``; whatever is neither is wrong.
    """
    good: dict[str, Signed] = {}
    wrong: dict[str, Problem] = {}
    names = [name for name, _ in files_below(study.folder, SIGNATURES)]
    for name in names:
        head = name.removesuffix(".sig")
        if not _NAME.fullmatch(head) or head not in names:
            wrong[name] = Problem(State.FOREIGN, "foreign", "is no signature of this history")
            continue
        try:
            good[head] = _signed(study, head)
        except ValueError as error:
            detail = f"belongs to {head.rpartition('/')[2]}, which is not as it was signed"
            detail = str(error) if head == name else detail
            wrong[name] = Problem(State.BROKEN_CHAIN, "signature", detail)
    return good, wrong


def check_signatures(study: StudyFolder, signers: Path | None, findings: Findings) -> None:
    """Add what is wrong with the signatures of a history, and notes on the others.

    Without signers, a file in OpenSSH's format that comes from whoever asks and never with the
    results, they are only compared with the history; else one of these must have signed its newest
    line.

    Raises:
        AuditError: no file of signers, or no ssh-keygen.
    """
    if signers is not None and not signers.is_file():
        expected = "expected a file with a line 'name key-type key' for each who may sign"
        raise AuditError(f"{signers}: no such file; {expected}")
    good, wrong = signatures(study)
    for name, problem in wrong.items():
        findings.add(name, problem)
    signed, total = 0, len(study.history.hashes)
    for name, (lines, content, armour) in good.items():
        findings.add(name)
        findings.add(f"{name}.sig")
        if signers is None:
            findings.notes.append(f"lines 1 to {lines} are signed; --signers FILE asks by whom")
        elif signer := _signer(content, armour, signers):
            findings.notes.append(f"lines 1 to {lines} are signed by {signer}")
            signed = max(signed, lines)
        else:
            findings.notes.append(f"{name} is signed by none of {signers}")
    if signers is not None and signed < max(total, 1):
        some = f"has {total - signed} lines after the last that is signed by one of {signers}"
        detail = some if signed else f"is signed by none of {signers}"
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "signature", detail))


def _signed(study: StudyFolder, name: str) -> Signed:
    """Return what is signed of the history, and the signature; a ValueError says why nothing is."""
    try:
        text, signature = (
            read_bytes(study.path(f"{name}{end}"), study.folder, _MAX) for end in ("", ".sig")
        )
    except BadFileError as error:
        raise ValueError(error.reason) from error
    content, hashes = parse_json(text), study.history.hashes
    if not isinstance(content, dict) or content.get("type") != HEAD_TYPE:
        raise ValueError("is no signed head of a history")
    lines = content.get("entries")
    if type(lines) is not int or not 0 < lines <= len(hashes):
        raise ValueError(f"was signed for a history of {lines} lines, not this one")
    if content.get("head") != hashes[lines - 1]:
        raise ValueError("was signed for another history than this one")
    if content.get("study") != study.name:
        raise ValueError(f"was signed for the study {content.get('study')!r}, not {study.name!r}")
    if not _ARMOUR.fullmatch(signature):
        raise ValueError("is signed by what is no signature of OpenSSH")
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
