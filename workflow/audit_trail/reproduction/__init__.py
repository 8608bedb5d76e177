"""Making an output again from its record alone, and measuring how close the result comes."""
