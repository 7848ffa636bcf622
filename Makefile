# Every verb of the project. `make help` lists them; variables are given behind the verb.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
export PYTHONUNBUFFERED := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

VENV ?= .venv
EXTRAS ?= data,watch
CONFIG ?= hmr
CHECKPOINT ?=
PROTOCOL ?= stand_in
DATA ?= data/tfrecords
DEMO_LONG_FLAGS ?= --images_3d 20000 --lsp 3000 --coco 2500 --occluders 0.3

PY := $(VENV)/bin/python
# A checkout runs its own code, whatever checkout its environment was installed from.
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))

upper = $(shell echo $(1) | tr a-z A-Z)
# $(call flag,name,value): --name "value", or nothing where the value is empty.
flag = $(if $(2),--$(1) "$(2)")

.PHONY: help
help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo
	@echo "Example: make tfrecords LSP=/data/lsp COCO=/data/coco AMASS=/data/amass"

# ---------------------------------------------------------------- environment

.PHONY: install
install: $(PY)  ## make .venv with pinned packages, or add to it: EXTRAS=dev, GPU=1 for CUDA, PYTHON=/path
	$(PY) tools/environment.py install $(subst $(comma), ,$(EXTRAS)) $(if $(GPU),gpu)
	@cp requirements.lock $(VENV)/.installed.lock

comma := ,

# Before each verb. It installs once, where there is no environment; later it says what to run.
.PHONY: environment ready ready-web ready-docs ready-tests
environment:
	@test -x $(PY) || $(MAKE) --no-print-directory install

ready: environment
	@$(PY) tools/environment.py need
	@test ! -f $(VENV)/.installed.lock || cmp -s requirements.lock $(VENV)/.installed.lock || \
		echo "note: requirements.lock is not the one that $(VENV) was made from: make install" >&2

# What some verbs need beyond it: added where the environment is this checkout's own.
ready-web: ready
	@$(PY) tools/environment.py need web

ready-docs: ready
	@$(PY) tools/environment.py need docs

ready-tests: ready
	@$(PY) tools/environment.py need dev data watch serving

$(PY):
	@found=; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
			2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "error: $(or $(PYTHON),no python3) is not a Python 3.11, 3.12 or 3.13 with the venv module." >&2; \
		echo "Debian, Ubuntu: apt install python3 python3-venv. macOS: brew install python@3.12." >&2; \
		echo "Or name one: make install PYTHON=/path/to/python3.12" >&2; \
		exit 2; \
	fi; \
	"$$found" -m venv $(VENV)

.PHONY: doctor
doctor: environment  ## versions, devices, which files are found and what to do next
	$(PY) -m src.doctor

# ---------------------------------------------------------------- the demo

# $(call demo,data folder,run folder,config,flags of the stand-in datasets): a user's own steps.
define demo
@echo; echo "1/7 a body and raw datasets that are free of any licence"
$(PY) -m tfrecords_tools.standin --output $(1)_raw --body models/standin_body.npz $(4)
@echo; echo "2/7 raw datasets to TFRecords"
$(MAKE) --no-print-directory tfrecords OUT=$(1) LSP=$(1)_raw/lsp COCO=$(1)_raw/coco \
	MPI_INF_3DHP=$(1)_raw/mpi_inf_3dhp AMASS=$(1)_raw/amass
@echo; echo "3/7 training, with discriminators"
$(PY) -m src.main --config $(3) --config.data.root=$(1) --workdir $(2)
@echo; echo "4/7 errors on people and poses never seen"
$(PY) -m src.evaluate --protocol stand_in --checkpoint $(2) --data $(1) --output $(2)/evaluation
@echo; echo "5/7 SavedModel, re-run in a fresh process"
$(PY) -m src.export --checkpoint $(2) --output $(2)/export
@echo; echo "6/7 bodies in held-out pictures"
$(PY) -m src.predict --checkpoint $(2) --input $(1)_raw/held_out/images \
	--keypoints $(1)_raw/held_out/keypoints.json --save npz,overlay,glb --output $(2)/predictions
@echo; echo "7/7 summary"
$(PY) -m hmr.studies.demo --workdir $(2)
endef

.PHONY: demo demo-long
demo: ready  ## all of it, 4 minutes on two cores of a current server: data, training, evaluation, export, pictures
	@$(PY) -m hmr.studies.demo --plan
	$(call demo,data/standin,runs/demo,demo,)

demo-long: ready  ## from random weights, with three times the data: about an hour
	$(call demo,data/standin_long,runs/demo_long,demo_long,$(DEMO_LONG_FLAGS))

.PHONY: demo-real
demo-real: ready  ## models/people_free again, 1.5 hours: weights for photographs [BACKGROUNDS=/folder of photographs]
	$(PY) -m tfrecords_tools.standin --preset photo $(call flag,backgrounds_dir,$(BACKGROUNDS)) \
		--output data/people_free_raw/photo --body models/standin_body.npz --smpl 20000 --mocap 60000 \
		--images_3d 0 --test_3d 0 --lsp 0 --coco 0
	$(PY) -m tfrecords_tools.standin --output data/people_free_raw/plain --body models/standin_body.npz \
		--images_3d 20000 --occluders 0.3 --mocap 0 --lsp 0 --coco 0 --held_out 0
	$(PY) -m tfrecords_tools.standin --views 180 --backgrounds loud --occluders 0.4 --seed 3 \
		--output data/people_free_raw/loud --body models/standin_body.npz --images_3d 15000 --mocap 0 \
		--lsp 0 --coco 0 --held_out 0
	$(PY) -m tfrecords_tools.pw3d --input data/people_free_raw/photo/3dpw --output data/people_free \
		--male models/standin_body.npz --female models/standin_body.npz
	$(MAKE) --no-print-directory tfrecords OUT=data/people_free \
		AMASS=data/people_free_raw/photo/amass MPI_INF_3DHP=data/people_free_raw/plain/mpi_inf_3dhp
	$(MAKE) --no-print-directory tfrecords OUT=data/people_free_loud \
		MPI_INF_3DHP=data/people_free_raw/loud/mpi_inf_3dhp
	ln -sfn ../people_free_loud/mpi_inf_3dhp data/people_free/loud
	$(PY) -m src.main --config people_free --workdir runs/people_free
	$(PY) -m src.evaluate --protocol stand_in --checkpoint runs/people_free --data data/people_free \
		--output runs/people_free/evaluation
	$(PY) -m src.predict --checkpoint runs/people_free --input data/people_free_raw/photo/held_out/images \
		--keypoints data/people_free_raw/photo/held_out/keypoints.json --save npz,overlay,glb \
		--output runs/people_free/predictions

RUNS_OF_ABLATION := paired unpaired no_prior

.PHONY: ablation
ablation: ready  ## section 4.3 again, under an hour: with and without 3D labels and discriminators
	@test -f data/standin/mpi_inf_3dhp/val_manifest.json || { \
		$(MAKE) --no-print-directory standin && \
		$(MAKE) --no-print-directory tfrecords OUT=data/standin LSP=data/standin_raw/lsp \
			COCO=data/standin_raw/coco MPI_INF_3DHP=data/standin_raw/mpi_inf_3dhp \
			AMASS=data/standin_raw/amass; }
	@for run in $(RUNS_OF_ABLATION); do \
		$(PY) -m src.main --config ablation_$$run --workdir runs/ablation/$$run; \
		$(PY) -m src.evaluate --protocol stand_in --checkpoint runs/ablation/$$run \
			--data data/standin --output runs/ablation/$$run/evaluation; \
	done
	$(PY) -m hmr.studies.ablation

# ---------------------------------------------------------------- files to begin with

.PHONY: smpl
smpl: ready  ## read your SMPL file: SMPL=/path/to/file.pkl [OUT=models/smpl_neutral.npz]
	@test -n "$(SMPL)" || { echo "error: which file? make smpl SMPL=/path/to/file.pkl" >&2; exit 2; }
	$(PY) -m src.convert_smpl "$(SMPL)" $(if $(OUT),"$(OUT)")

.PHONY: standin
standin: ready  ## make the licence-free body and raw datasets [OUT=data/standin_raw]
	$(PY) -m tfrecords_tools.standin --output "$(or $(OUT),data/standin_raw)" \
		--body models/standin_body.npz $(STANDIN_FLAGS)

# A converter NAME of tfrecords_tools is given its folder as the variable NAME, in capitals.
CONVERTERS = $(shell PYTHONPATH=src $(PY) -c "from hmr.data import datasets; print(*datasets.CONVERTERS)")

.PHONY: tfrecords
tfrecords: ready  ## convert datasets, NAME=/path for each of docs/datasets.md: LSP= COCO= AMASS= ... [OUT=]
	$(PY) -m tfrecords_tools --output "$(or $(OUT),data/tfrecords)" \
		$(foreach name,$(CONVERTERS),$(call flag,$(name),$($(call upper,$(name))))) $(FLAGS)

# ---------------------------------------------------------------- the model

.PHONY: train
train: ready  ## train: [CONFIG=hmr, a name or a file] [OUT=runs/name] [FLAGS="--config.train.batch_size=16"]
	$(PY) -m src.main --config $(CONFIG) $(call flag,workdir,$(OUT)) $(FLAGS)

.PHONY: evaluate
evaluate: ready  ## errors of a model: [CHECKPOINT=] [DATA=data/tfrecords] [PROTOCOL=stand_in] [OUT=]
	$(PY) -m src.evaluate --checkpoint "$(or $(CHECKPOINT),models/people_free)" --data "$(DATA)" --protocol $(PROTOCOL) \
		$(call flag,output,$(OUT)) $(FLAGS)

.PHONY: predict
predict: ready  ## bodies of people in pictures: INPUT=photo.jpg [CHECKPOINT=] [OUT=] [FLAGS="--boxes x,y,w,h"]
	@test -n "$(INPUT)" || { echo "error: which picture? make predict INPUT=photo.jpg" >&2; exit 2; }
	$(PY) -m src.predict $(call flag,checkpoint,$(CHECKPOINT)) --input "$(INPUT)" \
		--output "$(or $(OUT),runs/predictions)" $(FLAGS)

.PHONY: export
export: ready  ## SavedModel for TensorFlow Serving: [CHECKPOINT=] [OUT=runs/export]
	$(PY) -m src.export $(call flag,checkpoint,$(CHECKPOINT)) --output "$(or $(OUT),runs/export)" $(FLAGS)

.PHONY: web
web: ready-web  ## a local page, photo or video in, bodies out: [CHECKPOINT=] [FLAGS="--port 8080"]
	$(PY) -m src.web $(call flag,checkpoint,$(CHECKPOINT)) $(FLAGS)

# ---------------------------------------------------------------- checking

.PHONY: test
test: ready-tests  ## all tests [TESTS=tests/body] [FLAGS="-k smpl"]
	$(PY) -m pytest -n 2 --dist worksteal $(FLAGS) $(TESTS)

.PHONY: test-quick
test-quick: ready-tests  ## the tests that take seconds
	$(PY) -m pytest -n 2 --dist worksteal -m "not slow" $(FLAGS) $(TESTS)

.PHONY: docs
docs: ready-docs  ## the pages and an API reference as a site in site/, links checked
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going -c docs -b html . site
	@rm -rf jupyter_execute  # what the notebook drew; the site has copies
	@echo "look: site/README.html"

.PHONY: fuzz
fuzz: ready-tests  ## damage files of every kind in many ways and read them: [MINUTES=5] [SEED=]
	$(PY) -m tests.helpers.fuzz $(or $(MINUTES),5) $(SEED)

.PHONY: lint
lint: ready-tests  ## formatting, likely mistakes, types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

.PHONY: bench
bench: ready  ## speed of body, network, input and drawing on this machine [BACKEND=jax: the network by JAX]
	$(PY) -m benchmarks$(if $(filter jax,$(BACKEND)),.jax_backend) $(FLAGS)

# The old packages need Python 3.10, or 3.11 as the next best. PYTHON310 names one.
LEGACY_VENV := .venv-legacy
LEGACY_REFERENCE := $(LEGACY_VENV)/reference

$(LEGACY_VENV)/.installed: tests/legacy/requirements.txt
	@found=; for python in $(or $(PYTHON310),python3.10 $(wildcard $(HOME)/.pyenv/versions/3.10*/bin/python) python3.11); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' \
			2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "error: $(or $(PYTHON310),no python3.10 or python3.11) is not a Python 3.10 or 3.11 with the venv module." >&2; \
		echo "Name one: make legacy-check PYTHON310=/path/to/python3.10" >&2; \
		exit 2; \
	fi; \
	echo "old packages in $(LEGACY_VENV), with $$("$$found" --version) ($$found)"; \
	"$$found" -m venv --clear $(LEGACY_VENV)
	$(LEGACY_VENV)/bin/python -m pip install --requirement tests/legacy/requirements.txt
	$(LEGACY_VENV)/bin/python -m pip install --no-build-isolation --no-deps chumpy==0.70
	@touch $@

.PHONY: legacy-check
legacy-check: ready-tests $(LEGACY_VENV)/.installed  ## compare with chumpy, TF-Addons, TF-Slim themselves [PYTHON310=/path]
	$(LEGACY_VENV)/bin/python -W ignore -m tests.legacy.reference $(LEGACY_REFERENCE)
	LEGACY_REFERENCE=$(LEGACY_REFERENCE) $(PY) -m pytest -m legacy -rP $(FLAGS) tests/legacy

.PHONY: lock
lock:  ## renew requirements.lock to the newest versions that fit; it needs uv (pip install uv)
	python3 tools/lock.py

.PHONY: clean
clean:  ## remove caches and what the demo made; datasets, models and other runs stay
	rm -rf data/standin data/standin_raw runs/demo build dist site docs/api *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tfrecords_tools tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
