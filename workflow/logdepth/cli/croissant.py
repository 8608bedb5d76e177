"""``logdepth croissant``: the frozen sets of a study, as other tools for data sets read them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logdepth.cli.options import command

if TYPE_CHECKING:
    from audit_trail.records import Record

# CITATION.cff lies in the clone of this code.
_CITATION = Path(__file__).resolve().parents[3] / "CITATION.cff"
_VOCABULARY = "http://mlcommons.org/croissant/"
_PAPER = (
    "Clayton Sanford, Daniel Hsu, Matus Telgarsky: Transformers, parallel computation, and "
    "logarithmic depth. ICML 2024"
)
# What Croissant 1.0 asks every description to say.
_TERMS = (
    *("citeAs", "column", "conformsTo", "data", "dataType", "equivalentProperty", "extract"),
    *("field", "fileObject"),
    *("fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "separator", "source", "subField", "transform"),
)
_TYPED = {"data": "@json", "dataType": "@vocab"}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": _VOCABULARY,
    "dct": "http://purl.org/dc/terms/",
    "rai": f"{_VOCABULARY}RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    **{term: {"@id": f"cr:{term}", "@type": kind} for term, kind in _TYPED.items()},
    "conformsTo": "dct:conformsTo",
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_FIELDS = {
    "set": ("sc:Text", "name of the file"),
    "task": ("sc:Text", "the task with its settings, as JSON"),
    "stream": ("sc:Text", "evaluation, or selection for trials: independent of one another"),
    "seed": ("sc:Integer", "seed that the sequences are drawn with"),
    "k": ("sc:Text", "values of k, as JSON"),
    "sequences": ("sc:Integer", "sequences for each k"),
}
_ARRAYS = (
    "Safetensors with k, int16 (K,); tokens and targets, int16 (K, sequences, context); counted, "
    "bool of the same shape: whether a position is an answer that counts."
)


@command
def croissant(
    study: Annotated[Path, typer.Argument(help="Folder of the study, such as results/laptop.")],
) -> None:
    """Describe the frozen sets of a study as Croissant 1.0: print JSON-LD."""
    from audit_trail.study import open_study
    from logdepth.errors import UserError

    records = open_study(study).records
    made = [record for _, record in sorted(records.items()) if record.stage == "data"]
    if not made:
        raise UserError(f"{study}: has no frozen set; expected a study that was run")
    print(json.dumps(described(study.resolve().name, made), indent=2, ensure_ascii=False))


def described(study: str, made: "list[Record]") -> dict[str, Any]:
    """Return the description of sets, by the records of the jobs that drew them."""
    from audit_trail.crate import read_citation

    citation = read_citation(_CITATION.read_bytes())
    rows = [
        {
            "frozen_sets/set": record.outputs[0].name,
            "frozen_sets/task": json.dumps(record.parameters["task"], sort_keys=True),
            "frozen_sets/stream": record.parameters.get("stream", "evaluation"),
            "frozen_sets/seed": next(iter(record.seeds.values())),
            # In results that are published it has a longer name.
            "frozen_sets/k": json.dumps(record.parameters.get("k", record.parameters.get("hops"))),
            "frozen_sets/sequences": record.parameters["sequences"],
        }
        for record in made
    ]
    fields = [
        {"@type": "cr:Field", "@id": f"frozen_sets/{name}", "dataType": kind, "description": text}
        for name, (kind, text) in _FIELDS.items()
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": f"{_VOCABULARY}1.0",
        "name": f"logdepth-{study}",
        "description": f"Frozen sequences that the models of the study '{study}' are evaluated on.",
        "citeAs": _PAPER,
        "creator": [{"@type": "sc:Organization", "name": a.name} for a in citation.authors],
        "datePublished": max(record.finished for record in made),
        "license": f"https://spdx.org/licenses/{citation.license}",
        "url": citation.url or f"urn:logdepth:{study}",
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": output.name,
                "name": Path(output.name).name,
                "description": _ARRAYS,
                "contentUrl": output.name,
                "encodingFormat": "application/octet-stream",
                "sha256": output.sha256,
            }
            for record in made
            for output in record.outputs
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "frozen_sets",
                "name": "frozen_sets",
                "description": "What each set holds.",
                "key": {"@id": "frozen_sets/set"},
                "field": fields,
                "data": rows,
            }
        ],
    }
