"""What writers and readers of records agree on: names that are in everything published."""

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:logdepth:job:v1"
BUILDER = "urn:logdepth:cli"
HEAD_TYPE = "urn:logdepth:head:v1"
NAMESPACE = "logdepth"
"""Of signatures, for OpenSSH."""
PROVENANCE = "provenance"
"""Folder of a study that holds its records."""
HISTORY = f"{PROVENANCE}/history.jsonl"
LOCK = f"{PROVENANCE}/history.lock"
SIGNATURES = f"{PROVENANCE}/signatures"
KEPT = {
    "packages": ("environments", ".json"),
    "lock": ("environments", ".txt"),
    "source": ("sources", ".json"),
    "study": ("studies", ".json"),
}
"""By role, the folder below provenance/ and the ending of files that many records share; each is
named after its sha256."""
KEPT_FOLDERS = ("environments", "sources", "studies")


def kept_name(role: str, sha256: str) -> str:
    """Return the name in its study of a file that many records share."""
    folder, ending = KEPT[role]
    return f"{PROVENANCE}/{folder}/{sha256}{ending}"
