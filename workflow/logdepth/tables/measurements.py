"""Columns of the tables that measure what the constructions need."""

import pandera.pandas as pa

SCHEMAS: dict[str, pa.DataFrameSchema] = {}
