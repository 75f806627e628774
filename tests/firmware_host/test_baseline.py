"""Reports against an older one: what counts as a regression, what is no comparison, and the command's exit status."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keras_mtl.cli.emulate import command as emulate_command
from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Baseline, Report, Tolerance
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import baseline_text


@pytest.fixture(scope="module")
def report(make_artifact) -> Report:
    return emulate(make_artifact("int8"), load_target("stm32h743"), engines=("tflm", "litert"))


@pytest.fixture
def against(report: Report, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Compares the report with itself after `change` was made to the older copy."""

    def run(change: Callable[[dict[str, Any]], None] = lambda old: None, **tolerance: float) -> dict[str, Any]:
        older = copy.deepcopy(report.to_dict())
        change(older)
        path = tmp_path / "old.json"
        path.write_text(json.dumps(older))
        return Baseline.load(path).compare([report], Tolerance(**tolerance))

    return run


def set_check(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(old: dict[str, Any]) -> None:
        next(check for check in old["checks"] if check["name"] == name)["value"] = value

    return change


def set_artifact(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda old: old["artifact"].update({name: value})


def of(compared: dict[str, Any], name: str) -> dict[str, Any]:
    (artifact,) = compared["artifacts"]
    return next(found for found in artifact["differences"] if found["name"] == name)


def test_a_report_is_no_regression_from_itself(against, report):
    compared = against()
    assert compared["verdict"] == "passed"
    (artifact,) = compared["artifacts"]
    known_by = [artifact[key] for key in ("part", "schedule", "format", "target")]
    assert known_by == ["scenes", "clip", "int8", "stm32h743"]
    names = [found["name"] for found in artifact["differences"]]
    assert names == ["file_bytes", "parameter_bytes", "macs_per_second", "arena_bytes", "parity_lsb"]
    assert all(found["change"] == 0 and found["old"] == found["new"] for found in artifact["differences"])
    assert of(compared, "arena_bytes")["new"] == report.check("arena_bytes").value
    assert artifact["engines"] == artifact["target_changed"] == artifact["regressions"] == []


@pytest.mark.parametrize("name", ["file_bytes", "parameter_bytes", "macs_per_second"])
def test_more_bytes_or_macs_are_a_regression_beyond_the_tolerance(against, report, name):
    smaller = report.artifact[name] / 1.02
    compared = against(set_artifact(name, smaller))
    assert (compared["verdict"], compared["artifacts"][0]["regressions"]) == ("failed", [name])
    assert of(compared, name)["change_percent"] == pytest.approx(2, rel=1e-3)
    assert against(set_artifact(name, smaller), percent=1.9)["verdict"] == "failed"
    assert against(set_artifact(name, smaller), percent=2.1)["verdict"] == "passed"
    assert against(set_artifact(name, report.artifact[name] + 1))["verdict"] == "passed"


def test_arena_and_parity_are_compared_each_by_its_own_tolerance(against, report):
    arena, parity = (report.check(name).value for name in ("arena_bytes", "parity_lsb"))
    assert against(set_check("arena_bytes", arena - 16))["artifacts"][0]["regressions"] == ["arena_bytes"]
    assert against(set_check("arena_bytes", arena - 16), percent=100)["verdict"] == "passed"
    compared = against(set_check("parity_lsb", parity - 1), percent=100)
    assert compared["artifacts"][0]["regressions"] == ["parity_lsb"]
    assert of(compared, "parity_lsb")["allowed"] == parity - 0.5
    assert against(set_check("parity_lsb", parity - 1), lsb=1)["verdict"] == "passed"
    assert against(set_check("parity_lsb", parity - 0.4))["verdict"] == "passed"
    assert against(set_check("parity_lsb", parity + 2))["verdict"] == "passed"


def test_what_was_measured_and_now_is_not_is_a_regression(against, report):
    lost = replace(
        report, checks=tuple(replace(c, value=None) if c.name == "arena_bytes" else c for c in report.checks)
    )
    assert against(set_check("arena_bytes", None))["verdict"] == "passed"
    older = Baseline("old.json", (report.to_dict(),))
    assert older.compare([lost])["artifacts"][0]["regressions"] == ["arena_bytes"]


def test_an_engine_that_ran_must_run_still(report):
    older = Baseline("old.json", (report.to_dict(),))
    refused = replace(report.engines[1], ran=False, version="", reason="it is gone")
    (artifact,) = older.compare([replace(report, engines=(report.engines[0], refused))])["artifacts"]
    assert artifact["regressions"] == ["litert"]
    assert artifact["engines"][0]["new"] == "did not run: it is gone"
    newer = replace(report.engines[1], version="9.9")
    (artifact,) = older.compare([replace(report, engines=(report.engines[0], newer))])["artifacts"]
    assert (artifact["regressions"], [found["engine"] for found in artifact["engines"]]) == ([], ["litert"])
    # One that was not asked for now says nothing.
    assert older.compare([replace(report, engines=report.engines[:1])])["verdict"] == "passed"


def test_a_set_s_own_figures_are_compared(report):
    def of_set(value: float, events: int) -> Report:
        extra = (replace(report.checks[0], name="parity_probability", value=value, unit="", limit=0.01),)
        extra += (replace(report.checks[0], name="events_differ", value=events, unit="clips", limit=1),)
        return replace(report, checks=report.checks + extra)

    older = Baseline("old.json", (of_set(0.002, 0).to_dict(),))
    assert older.compare([of_set(0.0029, 0)])["verdict"] == "passed"
    assert older.compare([of_set(0.0031, 0)])["artifacts"][0]["regressions"] == ["parity_probability"]
    assert older.compare([of_set(0.002, 1)])["artifacts"][0]["regressions"] == ["events_differ"]


def _of_part(part: str, schedule: str | None = None) -> dict[str, Any]:
    about = {"part": part, "format": "int8"} | ({"schedule": schedule} if schedule else {})
    return {"artifact": about, "target": {"name": "stm32h743"}}


_KINDS = [("scenes", "clip"), ("scenes", "stream"), ("events", "stream"), ("joint", "clip"), ("joint", "stream")]


@pytest.mark.parametrize("new", _KINDS)
@pytest.mark.parametrize("old", _KINDS)
def test_parts_and_schedules_are_told_apart(old, new):
    older = Baseline("old.json", (_of_part(*old),))
    asked = [_of_part(*new)]
    if old == new:
        assert older.require(asked) == [_of_part(*old)]
        return
    with pytest.raises(ArtifactError, match=r"no report on \w+( stream)? int8 for stm32h743; it has \w+"):
        older.require(asked)


def test_an_older_report_without_a_schedule_is_of_clips():
    older = Baseline("old.json", (_of_part("scenes"),))
    assert older.require([_of_part("scenes", "clip")]) == [_of_part("scenes")]
    with pytest.raises(ArtifactError, match="no report on scenes stream int8 for stm32h743; it has scenes int8 for"):
        older.require([_of_part("scenes", "stream")])


@pytest.mark.parametrize("part", ["scenes", "events", "joint"])
def test_an_older_report_on_some_stream_is_made_anew(part):
    """It may be on any of the three."""
    with pytest.raises(ArtifactError, match=f"no report on {part} stream int8 .* it has stream int8 for") as caught:
        Baseline("old.json", (_of_part("stream"),)).require([_of_part(part, "stream")])
    assert "may be of scenes, of events or of both, or make one by `keras_mtl emulate" in caught.value.hint


def test_other_labels_are_no_baseline(against, report, files, tmp_path):
    names = report.artifact["labels"]["scenes"]
    assert report.artifact["labels"] == {"scenes": ["airport", "bus", "metro", "park", '"Straße" ??/1']}
    wanted = r"the artifact and the baseline .*old\.json have other scenes: the same names in another order"
    with pytest.raises(ArtifactError, match=wanted) as refused:
        against(set_artifact("labels", {"scenes": names[::-1]}))
    assert "\n" not in str(refused.value)
    # Reports of before say nothing of labels; and a task that only one has is no matter.
    assert against(lambda old: old["artifact"].pop("labels"))["verdict"] == "passed"
    assert against(set_artifact("labels", {"events": ["Dog"]}))["verdict"] == "passed"
    older = report.to_dict() | {"artifact": report.artifact | {"labels": {"scenes": [*names[:4], "tram"]}}}
    (tmp_path / "old.json").write_text(json.dumps(older))
    done = call(files["int8"], "--baseline", str(tmp_path / "old.json"))
    assert isinstance(done.exception, ArtifactError)
    assert str(done.exception).startswith(f"the artifact and the baseline {tmp_path / 'old.json'} have other scenes: ")
    assert 'only the first has "Straße" ??/1, only the second has tram' in str(done.exception)
    assert "running" not in done.stderr


def test_another_target_of_the_same_name_is_told(against):
    compared = against(lambda old: old["target"].update(clock_hz=1, application_ram_bytes=2))
    assert compared["artifacts"][0]["target_changed"] == ["application_ram_bytes", "clock_hz"]
    assert "the target differs in application_ram_bytes, clock_hz" in baseline_text(compared)


def test_text_shows_old_new_and_change(against, report):
    size = report.artifact["file_bytes"]
    text = baseline_text(against(set_artifact("file_bytes", size - 100)))
    assert f"{size - 100:,}" in text
    assert f"+100 (+{100 * 100 / (size - 100):.2f} %)" in text
    assert "REGRESSION" in text
    assert text.rstrip().endswith("against the baseline   failed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"schema": "keras_mtl.bundle/1"}', "has schema keras_mtl.bundle/1, not"),
        ("[]", "has schema None, not"),
        ('{"schema": "keras_mtl.reports/1", "reports": 3}', "is not a whole report"),
        ('{"schema": "keras_mtl.report/1", "artifact": {}}', "is not a whole report"),
    ],
)
def test_another_file_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=message) as error:
        Baseline.load(path)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2
    with pytest.raises(ArtifactError, match=r"can't read the baseline .*: No such file"):
        Baseline.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda old: old.pop("checks"),
        lambda old: old.update(engines=[{}]),
        lambda old: old["artifact"].update(file_bytes="large"),
        lambda old: old["artifact"].update(file_bytes=float("nan")),
        lambda old: old["artifact"].update(file_bytes=10**400),
        lambda old: old["artifact"].update(labels=["airport"]),
        lambda old: old["artifact"].update(labels={"scenes": 3}),
        lambda old: old["artifact"].update(labels={"scenes": ["airport", "Airport"]}),
    ],
)
def test_a_report_that_is_not_whole_is_one_clear_line(against, change):
    with pytest.raises(ArtifactError, match="is not a whole report"):
        against(change)


@pytest.fixture(scope="module")
def files(make_artifact, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {f: str(make_artifact(f).save(folder / f"scenes.{f}.tflite")) for f in ("int8", "int16x8")}


def call(*arguments: str) -> Any:
    return CliRunner().invoke(emulate_command, [*arguments, "--engine", "tflm", "--target", "stm32h743"])


def test_command_compares_and_exits_with_1_on_a_regression(files, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(call(files["int8"], "--json").stdout)
    same = call(files["int8"], "--baseline", str(path), "--json")
    assert same.exit_code == 0, same.output
    assert json.loads(same.stdout)["baseline"]["verdict"] == "passed"
    # What it prints is the next baseline.
    (tmp_path / "next.json").write_text(same.stdout)
    assert call(files["int8"], "--baseline", str(tmp_path / "next.json")).exit_code == 0
    older = json.loads(path.read_text())
    older["artifact"]["file_bytes"] -= 1
    path.write_text(json.dumps(older))
    worse = call(files["int8"], "--baseline", str(path))
    assert worse.exit_code == 1
    assert worse.stdout.rstrip().endswith("against the baseline   failed")
    worse = call(files["int8"], "--baseline", str(path), "--json")
    document = json.loads(worse.stdout)
    assert (worse.exit_code, document["verdict"], document["baseline"]["verdict"]) == (1, "passed", "failed")
    assert call(files["int8"], "--baseline", str(path), "--tolerance", "1").exit_code == 0


def test_command_compares_several_artifacts(files, tmp_path):
    path = tmp_path / "old.json"
    both = [files["int8"], files["int16x8"]]
    path.write_text(call(*both, "--json").stdout)
    turned = call(*reversed(both), "--baseline", str(path), "--json")
    assert turned.exit_code == 0, turned.output
    document = json.loads(turned.stdout)
    assert document["schema"] == "keras_mtl.reports/1"
    assert [one["format"] for one in document["baseline"]["artifacts"]] == ["int16x8", "int8"]
    for arguments, message in (([files["int8"]], "scenes int16x8 .* missing now"), ([*both, *both], "no report on")):
        refused = call(*arguments, "--baseline", str(path))
        assert isinstance(refused.exception, ArtifactError)
        with pytest.raises(ArtifactError, match=message):
            raise refused.exception
        assert "running" not in refused.stderr  # found before anything was run
        assert refused.stdout == ""
