"""The files around an open project: workflows, issue forms, citation, security, and a release of reproducible bytes."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_mtl import __version__

_WORKFLOWS = ("tests.yml", "release.yml")
_FORMS = ("bug.yml", "board.yml", "feature.yml")
#: GitHub's syntax of issue forms: kinds of elements, and what each must have.
_ELEMENTS = {"markdown": {"value"}, "textarea": {"label"}, "input": {"label"}, "dropdown": {"label", "options"}}


def _workflow(repository: Any, name: str) -> dict[str, Any]:
    document = yaml.safe_load((repository.root / ".github" / "workflows" / name).read_text())
    # YAML 1.1 reads the key `on` as a truth value.
    document["on"] = document.pop(True)
    return document


def _commands(workflow: dict[str, Any]) -> list[str]:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [line.strip() for step in steps for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("name", _WORKFLOWS)
def test_workflows_run_targets_that_are_there(repository, name: str) -> None:
    workflow = _workflow(repository, name)
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (repository.root / "Makefile").read_text(), re.M))
    used = [line.split() for line in _commands(workflow) if line.startswith("make ")]
    assert used
    assert {words[1] for words in used} <= targets
    # `scripts/environment.sh` takes the Python that the job has set up.
    assert {words[2] for words in used} == {"PYTHON=python"}
    for job in workflow["jobs"].values():
        assert set(job) <= {"strategy", "runs-on", "timeout-minutes", "steps"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_workflows_cover_lint_tests_firmware_and_wheel(repository) -> None:
    workflow = _workflow(repository, "tests.yml")
    assert {"push", "pull_request"} == set(workflow["on"])
    assert workflow["permissions"] == {"contents": "read"}
    made = {line.split()[1] for line in _commands(workflow) if line.startswith("make ")}
    assert made == {"lint", "test", "test-firmware", "dist"}


def test_workflows_use_the_pythons_of_the_project(repository) -> None:
    classifiers = repository.pyproject["project"]["classifiers"]
    supported = [line.split(" :: ")[-1] for line in classifiers if re.search(r"Python :: 3\.\d+$", line)]
    jobs = _workflow(repository, "tests.yml")["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == supported
    for name in _WORKFLOWS:
        for job in _workflow(repository, name)["jobs"].values():
            for step in job["steps"]:
                version = step.get("with", {}).get("python-version", "")
                assert version in ("", "${{ matrix.python }}", *supported)


def test_workflow_installs_what_the_firmware_script_names(repository) -> None:
    script = (repository.root / "scripts" / "test_firmware.sh").read_text()
    (packages,) = re.findall(r'^packages="([^"]+)"', script, re.M)
    commands = _commands(_workflow(repository, "tests.yml"))
    (install,) = (line for line in commands if "apt-get install" in line)
    assert install.endswith(f" {packages}")


def test_no_address_of_a_package_index(repository) -> None:
    paths = [
        *(repository.root / ".github").rglob("*"),
        repository.root / "SECURITY.md",
        repository.root / "CITATION.cff",
    ]
    paths += [
        *(repository.root / "scripts").iterdir(),
        repository.root / "Makefile",
        repository.root / "pyproject.toml",
    ]
    texts = [path.read_text() for path in paths if path.is_file() and "__pycache__" not in path.parts]
    assert len(texts) > 12
    assert [text for text in texts if re.search(r"://\S*(?:pypi|pythonhosted|/simple\b)", text)] == []


@pytest.mark.parametrize("name", _FORMS)
def test_issue_forms_are_github_s(repository, name: str) -> None:
    form = yaml.safe_load((repository.root / ".github" / "ISSUE_TEMPLATE" / name).read_text())
    assert set(form) == {"name", "description", "labels", "body"}
    assert all(isinstance(form[key], str) and form[key] for key in ("name", "description"))
    identifiers = [element["id"] for element in form["body"] if element["type"] != "markdown"]
    assert identifiers
    assert len(identifiers) == len(set(identifiers))
    for element in form["body"]:
        assert set(element) <= {"type", "id", "attributes", "validations"}
        attributes = element["attributes"]
        assert _ELEMENTS[element["type"]] <= set(attributes) <= {"value", "label", "description", "render", "options"}
        assert all(isinstance(option, str) for option in attributes.get("options", ()))
        assert element.get("validations", {}) in ({}, {"required": True})


def test_every_issue_form_is_tested(repository) -> None:
    folder = repository.root / ".github" / "ISSUE_TEMPLATE"
    assert {path.name for path in folder.iterdir()} == {*_FORMS, "config.yml"}
    assert set(yaml.safe_load((folder / "config.yml").read_text())) == {"blank_issues_enabled", "contact_links"}
    assert {path.name for path in (repository.root / ".github" / "workflows").iterdir()} == {*_WORKFLOWS}


def test_citation_is_of_this_project(repository) -> None:
    """Citation File Format 1.2.0: required keys, and that it agrees with pyproject.toml."""
    citation = yaml.safe_load((repository.root / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == __version__
    project = repository.pyproject["project"]
    assert (citation["title"], citation["license"]) == (project["name"], project["license"])
    assert citation["abstract"].rstrip(".") == project["description"]
    assert all(author.keys() & {"name", "family-names"} for author in citation["authors"])
    assert all({"type", "title", "authors"} <= set(reference) for reference in citation["references"])


def test_security_says_how_to_report(repository) -> None:
    text = (repository.root / "SECURITY.md").read_text()
    assert "Report a vulnerability" in text
    assert "SECURITY.md" in (repository.root / "CONTRIBUTING.md").read_text()


@pytest.fixture
def build_dist(repository) -> Any:
    """The script of `make dist`, as a module."""
    spec = importlib.util.spec_from_file_location("build_dist", repository.root / "scripts" / "build_dist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_archive_does_not_tell_when_and_where_it_was_packed(build_dist, tmp_path: Path) -> None:
    def pack(name: str, files: list[str], owner: str, time_s: int, mode: int) -> Path:
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for file in files:
                member = tarfile.TarInfo(f"p/{file}")
                member.size, member.uname, member.mtime, member.mode = 3, owner, time_s, mode
                archive.addfile(member, io.BytesIO(b"abc"))
        return tmp_path / name

    one = pack("one.tar.gz", ["a", "b"], "ann", 5, 0o644)
    other = pack("other.tar.gz", ["b", "a"], "bob", 7, 0o664)
    packed = build_dist.packed_anew(one, 1_000_000)
    assert packed == build_dist.packed_anew(other, 1_000_000) != build_dist.packed_anew(one, 1_000_001)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = archive.getmembers()
        assert [(m.name, m.uname, m.mtime, m.mode) for m in members] == [
            (f"p/{name}", "", 1_000_000, 0o644) for name in "ab"
        ]
        assert archive.extractfile(members[0]).read() == b"abc"


@pytest.mark.slow
def test_dist_is_the_same_each_time(repository, build_dist, tmp_path: Path) -> None:
    """With other permissions of new files, too; the wheel comes from the sdist."""
    if subprocess.run(["git", "rev-parse"], cwd=repository.root, capture_output=True, check=False).returncode:
        pytest.skip("needs a git checkout")
    first = build_dist.built(tmp_path / "first", 1_700_000_000)
    before = os.umask(0o077)
    try:
        assert first == build_dist.built(tmp_path / "second", 1_700_000_000)
    finally:
        os.umask(before)
    assert sorted(first) == [f"keras_mtl-{__version__}-py3-none-any.whl", f"keras_mtl-{__version__}.tar.gz"]
