"""Models: each architecture a file, found by its name."""

from logdepth.models.base import Model
from logdepth.settings import Family

MODELS = Family("logdepth.models", Model, key="model", tag="form")
names, settings = MODELS.names, MODELS.settings
