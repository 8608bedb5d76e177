"""Validating an RO-Crate without a network.

roc-validator sends every request through a session that caches in an SQLite file. The cache is
filled from copies of the JSON-LD contexts, by a transport of the validator's own session, so that
the keys are its own; then it validates with ``offline=True``, which takes from the cache or fails.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from rocrate_validator.models import Severity, ValidationResult, ValidationSettings
from rocrate_validator.services import validate
from rocrate_validator.utils.http import HttpRequester
from urllib3 import HTTPResponse

CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.jsonld",
}


class _Files(BaseAdapter):
    """Answers from files and never opens a socket."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        super().__init__()
        self._files = files

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        body = self._files[str(request.url)].read_bytes()
        headers = {"Content-Type": "application/ld+json", "Content-Length": str(len(body))}
        response = Response()
        response.status_code, response.reason = 200, "OK"
        response.url, response.request = str(request.url), request
        response.headers = CaseInsensitiveDict(headers)
        response.encoding = "utf-8"
        response.raw = HTTPResponse(
            BytesIO(body),
            headers=headers,
            status=200,
            reason="OK",
            preload_content=False,
            request_url=request.url,
        )
        return response

    def close(self) -> None:
        pass


def fill_cache(cache: Path, contexts: Path) -> Path:
    """Write the contexts to a cache, whose file is ``<cache>.sqlite``; return the cache."""
    files = {url: contexts / name for url, name in CONTEXTS.items()}
    http = HttpRequester.initialize_cache(cache_path=str(cache), cache_max_age=-1, offline=False)
    adapter = _Files(files)
    http.session.mount("https://", adapter)
    http.session.mount("http://", adapter)
    for url in files:
        http.fetch_fresh(url).raise_for_status()
        assert http.has_cached(url), url
    HttpRequester.reset()
    return cache


def validated(crate: Path, cache: Path) -> ValidationResult:
    """Validate a crate against all that is required of a Workflow Run Crate."""
    return validate(
        ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="workflow-run-crate",
            requirement_severity=Severity.REQUIRED,
            offline=True,
            cache_path=cache,
            cache_max_age=-1,
        )
    )


def problems(result: ValidationResult) -> list[str]:
    return [f"{i.check.name}: {i.message} [{i.violatingEntity}]" for i in result.get_issues()]
