"""A study as a Workflow Run RO-Crate: profile Provenance Run Crate 0.5, on RO-Crate 1.1."""
