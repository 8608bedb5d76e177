# make            set up, run the study (STUDY=laptop), write its report
# make help       all targets
STUDY ?= laptop
FIG ?= depth_law
BENCH ?= results/bench
KILLS ?= 1000
SEED ?= 0
BIN := .venv/bin
# The environment's commands come first, also for what they call themselves.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Large pages for large tensors: 8 % of a training step. The workflow sets it for its jobs as well.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# Snakemake and matplotlib keep caches there.
ifeq ($(shell [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes),)
export XDG_CACHE_HOME ?= $(CURDIR)/.snakemake/cache
export MPLCONFIGDIR ?= $(CURDIR)/.snakemake/matplotlib
endif
# On a terminal a live view, in a log plain lines.
LIVE := $(shell [ -t 2 ] && echo --logger logdepth)
# Last on its command line: the option takes all words that follow.
CONFIG := --configfile config/$(STUDY).yaml
LOCKS := envs/cpu.txt envs/cuda.txt

ifeq ($(wildcard config/$(STUDY).yaml),)
$(error STUDY is '$(STUDY)', but there is no config/$(STUDY).yaml; expected one of $(filter-out \
    default,$(basename $(notdir $(wildcard config/*.yaml)))))
endif

.DEFAULT_GOAL := study
.PHONY: study theory setup report figure article site publish status audit test test-published test-browser test-cluster chaos lint types bench lock config claims image help

study: setup ## set up, run STUDY and write its report
	@logdepth plan --line --seconds 5 --config config/$(STUDY).yaml
	@if grep -q '^ *select:' config/$(STUDY).yaml; then snakemake selected $(LIVE) $(CONFIG); fi
	snakemake $(LIVE) $(CONFIG)
	@if [ ! -f results/$(STUDY)/report.html ] || [ -n "$$(find results/$(STUDY)/figures \
	    results/$(STUDY)/tables results/$(STUDY)/traces -newer results/$(STUDY)/report.html -print -quit)" ]; then \
	    $(MAKE) --no-print-directory report; fi
	@echo "Figures: results/$(STUDY)/figures, report: results/$(STUDY)/report.html"

theory: ## the theorems as running code: STUDY=theory
	@$(MAKE) --no-print-directory study STUDY=theory

setup: .venv/setup.done ## create .venv from the hash locks (PYTHON=…, TORCH=cpu|cuda)

# Its commands name the place where it was made: a copied or moved one is made again.
ifneq "$(shell cat .venv/setup.done 2>/dev/null)" "$(CURDIR)"
.PHONY: .venv/setup.done
endif
.venv/setup.done: $(LOCKS) envs/setup.sh pyproject.toml
	@envs/setup.sh

.venv/dev.done: .venv/setup.done envs/dev.txt
	@envs/setup.sh dev
	@touch $@

.venv/article.done: .venv/setup.done envs/article.txt
	@envs/setup.sh article
	@touch $@

report: setup ## write results/STUDY/report.html
	snakemake --report results/$(STUDY)/report.html $(CONFIG)

figure: setup ## rebuild one figure: make figure FIG=depth_law
	snakemake results/$(STUDY)/figures/$(FIG).pdf $(CONFIG)

article: .venv/article.done ## typeset what was found, from results/published: results/article/article.pdf
	python article/build.py --output results/article/article.pdf

site: .venv/article.done ## write results/site: pages of what is published, and of OWN=results/STUDY
	logdepth site $(OWN)

publish: setup ## copy the finished STUDY to results/published for a commit, without weights
	logdepth audit publish results/$(STUDY) --to results/published/$(STUDY)

status: setup ## how far each study is, from another terminal or after a crash
	@logdepth status

audit: setup ## verify everything below results/, or PATHS
	logdepth audit verify $(PATHS)

test: .venv/dev.done ## unit, property, workflow and figure tests
	pytest -n 2 --dist worksteal

test-published: .venv/dev.done ## each figure and export of what is published
	pytest -n 2 --dist worksteal -m published

test-browser: .venv/dev.done ## the pages in a headless Chromium
	tests/browser/run.sh

test-cluster: .venv/dev.done ## on a real Slurm, in the image, as root on Debian 12
	tests/cluster/run.sh

chaos: .venv/dev.done ## kill a study KILLS times at random moments (SEED=0), see docs/reliability.md
	python tests/chaos.py --kills $(KILLS) --seed $(SEED)

lint: .venv/dev.done ## ruff, snakefmt, snakemake --lint
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	for study in laptop smoke paper speedrun theory; do snakemake --configfile config/$$study.yaml --lint || exit 1; done

types: .venv/dev.done ## mypy
	mypy
	mypy --strict containers/*.py article/*.py

bench: .venv/dev.done ## speed, as ratios taken in one run, written to BENCH=results/bench
	python benchmarks/training.py --output $(BENCH)
	python benchmarks/architectures.py --output $(BENCH)
	python benchmarks/growth.py --output $(BENCH)
	python benchmarks/records.py

lock: .venv/dev.done ## regenerate envs/*.txt from envs/*.in
	envs/lock.sh

config: setup ## regenerate config/schema.json and config/default.yaml
	logdepth config schema > config/schema.json
	logdepth config default > config/default.yaml

claims: setup ## write docs/claims.md and the samples in docs/audit.md from what is published
	python benchmarks/claims.py > docs/claims.md
	python benchmarks/audit_samples.py

image: .venv/dev.done ## build containers/logdepth.sif, as root (TORCH=cpu|cuda, MIRROR=…)
	@containers/build.sh

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 20
