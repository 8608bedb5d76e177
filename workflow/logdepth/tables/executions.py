"""Columns of the tables that hold single executions, for drawing."""

import pandera.pandas as pa

SCHEMAS: dict[str, pa.DataFrameSchema] = {}
