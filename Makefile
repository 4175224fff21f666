# make run    serve localhost from this folder
# make test   everything that is tested; as root it installs what is missing
# make crash  kill the server 200 times under load; nothing acknowledged may be lost
# make endure  slixmpp and @xmpp/client on a bad network for ten minutes
# make bench  compare with Prosody and ejabberd
# make lint   ruff and mypy
# make docs   write again what is made from the code

PYTHON ?= python3
VENV := .venv
CONFIG ?= palaver.toml

.PHONY: run test crash endure bench lint docs clean

run: $(VENV)/installed
	@test -e $(CONFIG) || $(VENV)/bin/palaver init --config $(CONFIG)
	@echo
	@echo "Make an account with:  $(VENV)/bin/palaver account create USER@localhost"
	@echo "and log in with any XMPP client as USER@localhost, server 127.0.0.1, port 5222."
	@echo "In a browser: http://localhost:5280/  The certificate is self-signed. Ctrl-C ends the server."
	@echo
	@# Without docstrings, which nobody reads here, the process is 5 MiB smaller.
	@PYTHONOPTIMIZE=2 exec $(VENV)/bin/palaver start --config $(CONFIG)

test: $(VENV)/installed-tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	# The clients that .ci/needs has found or installed are no reason to skip a test.
	PALAVER_REQUIRE_PEERS=1 .ci/trial

crash: $(VENV)/installed-tests
	PALAVER_CRASH_ROUNDS=$${PALAVER_CRASH_ROUNDS:-200} .ci/trial palaver.test.crash

endure: $(VENV)/installed-tests
	PALAVER_REQUIRE_PEERS=1 PALAVER_ENDURE_S=$${PALAVER_ENDURE_S:-600} .ci/trial palaver.test.endure

bench: $(VENV)/installed-tests
	.ci/needs bench
	$(VENV)/bin/python -m palaver.test.bench $(BENCH)
	$(VENV)/bin/python -m palaver.test.bench.alone
	$(VENV)/bin/python -m palaver.test.bench.pages
	$(VENV)/bin/python -m palaver.test.bench.rooms

lint: $(VENV)/installed-tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/installed
	$(VENV)/bin/python -m palaver.docs

# Installed again when the requirements have changed, and only then.
$(VENV)/installed: setup.cfg setup.py pyproject.toml
	.ci/needs python
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable .
	touch $@

$(VENV)/installed-tests: $(VENV)/installed
	.ci/needs python tests
	$(VENV)/bin/pip install --quiet --editable '.[test,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis
