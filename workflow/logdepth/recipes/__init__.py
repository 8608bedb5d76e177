"""Recipes: how a model is trained, each a file, found by its name."""

from logdepth.recipes.base import Recipe
from logdepth.settings import Family

RECIPES = Family("logdepth.recipes", Recipe, key="training", tag="recipe")
names, settings = RECIPES.names, RECIPES.settings
