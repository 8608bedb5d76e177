"""Columns of the tables that say what was tried of each theorem."""

import pandera.pandas as pa

from logdepth.tables.columns import SHARE, count, number, text

# As in "Theorem 4.2", "Lemma D.2", "Theorems 3.1 and 3.4" or "Section 2".
_NUMBER = r"([1-9]\d*|[A-Z])(\.[1-9]\d*)?"
_KINDS = "Section|Definition|Theorems?|Lemma|Corollary|Proposition|Fact"

_COLUMNS = {
    "theorem": pa.Column(str, pa.Check.str_matches(rf"^({_KINDS}) {_NUMBER}( and {_NUMBER})?$")),
    "claim": text(),
    "case": text(),
    "size": text(),
    "instances": count(1),
    "failures": count(),
}
_IS_SUBSET = pa.Check(
    lambda table: table["failures"] <= table["instances"], name="no more failures than instances"
)


def _claims(**columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(_COLUMNS | columns, checks=_IS_SUBSET)


SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "construction": _claims(),
    "compiled_models": _claims(),
    "counterexamples": pa.DataFrameSchema(
        {
            "claim": text(),
            "source": text(),
            "form": text("printed", "repaired"),
            "inputs": text("uniform", "all", "smallest failure"),
            "length": count(1),
            "alphabet": count(1),
            "hops": count(1),
            "depth": count(2),
            "strings": count(1),
            "wrong": number(SHARE),
            "string": pa.Column(str),
            "position": number(pa.Check.ge(1)),
            "answer": pa.Column(str),
            "right": pa.Column(str),
        }
    ),
    "protocols": _claims(),
    "routing": _claims(),
    "attention_layers": _claims(),
    "trained_models": _claims(
        words=count(1),
        rounds=count(1),
        machines=count(1),
        machines_used=count(1),
        difference_float32=number(pa.Check.ge(0)),
        difference_float64=number(pa.Check.ge(0)),
    ),
    "round_trips": _claims(
        rounds=count(1),
        layers=count(1),
        final_rounds=count(1),
        machines=count(1),
        final_machines=count(1),
        words=count(1),
        final_words=count(1),
    ),
    "reductions": _claims(),
    "claims": _claims(command=text()),
}
