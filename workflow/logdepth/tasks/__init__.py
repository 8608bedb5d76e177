"""Tasks: each a file, found by its name. Data are a function of seed and step."""

from logdepth.settings import Family
from logdepth.tasks.base import Task

TASKS = Family("logdepth.tasks", Task, key="task", tag="name")
names, settings = TASKS.names, TASKS.settings
