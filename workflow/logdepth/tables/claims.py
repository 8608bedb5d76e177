"""Columns of the tables that say what was tried of each theorem."""

import pandera.pandas as pa

SCHEMAS: dict[str, pa.DataFrameSchema] = {}
