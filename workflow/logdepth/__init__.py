"""logdepth: every result of "Transformers, parallel computation, and logarithmic depth", rebuilt.

Data flows one way: config -> tasks -> training -> evaluation -> fitting -> figures.
"""
