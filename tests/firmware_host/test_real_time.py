"""The check `real_time` and what hangs on it: certain or not, energy, battery, bursts, and what would make it fit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from small_artifacts import make_streaming

from keras_mtl.cli.emulate import command as emulate_command
from keras_mtl.core import VerdictFailed
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.compute import (
    Battery,
    around_networks,
    energy_of,
    estimate,
    longest_burst,
    op_rows,
    remedies_for,
)
from keras_mtl.firmware_host.compute.around import FRONT_END
from keras_mtl.firmware_host.device import cell_steps, score_embeddings
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.timing import audio_latency_s, real_time
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html, report_text

M4 = load_target("nrf52840")


@pytest.fixture(scope="module")
def both(builder):
    """A streaming artifact with an event decoder of both directions."""
    return make_streaming(builder, "int8", event_hop=3, scene_hop=1)


def parts(artifact):
    """The operators of all members, and how often each runs."""
    found = [
        (
            replace(row, name=f"{name}/{row.name}" if artifact.streams else row.name),
            (artifact.calls_per_second or {})[name],
        )
        for name, member in artifact.members.items()
        for row in op_rows(member.model)
    ]
    return [row for row, _ in found], [calls for _, calls in found]


def context(artifact, target, known: bool = True) -> Context:
    rows, calls = parts(artifact) if known else ([*op_rows(artifact.network.model)], None)
    compute, why = estimate(rows, calls, target, around_networks(artifact, target))
    burst = longest_burst(artifact, rows, calls, target)
    return Context(
        artifact, target, tuple(rows), calls and tuple(calls), {}, (), {}, None, None, (), None, compute, why, burst
    )


def cycles(artifact, target) -> list[float]:
    compute = context(artifact, target).compute
    return [end * target.clock_hz for end in compute["load"]]


@pytest.mark.parametrize(
    ("clock", "share", "ok", "certain"),
    [(1.001, 1.0, True, True), (0.999, 1.0, True, False), (1.001, 0.98, True, False), (0.4, 1.0, False, True)],
)
def test_verdict_is_that_of_the_whole_range(both, clock, share, ok, certain):
    """The clock is given as a part of the upper end; what the application keeps counts."""
    least, most = cycles(both, M4)
    assert least > 0.4 * most
    target = replace(M4, clock_hz=round(clock * most), compute_share=share)
    check = real_time(context(both, target))
    assert (check.ok, check.certain, check.limit, check.unit) == (ok, certain, share, "of the core")
    assert check.value == pytest.approx(least / target.clock_hz, abs=1e-3)
    for word in ("networks ", "front end ", "decoders ", "M cycles for a second of audio"):
        assert word in check.why


def test_front_end_and_decoders_are_in_it(both, make_artifact):
    artifact = make_artifact("int8")
    compute = context(artifact, M4).compute
    front, decoders = compute["around"]
    assert (front["name"], decoders["name"]) == ("front end", "decoders")
    known = FRONT_END["float", "m4f"]
    assert front["instructions_per_second"] == pytest.approx([known / 1.15, known * 1.15], rel=1e-6)
    whole = [compute["cycles_per_second"], front["cycles_per_second"], decoders["cycles_per_second"]]
    assert compute["load"] == [round(sum(each[i] for each in whole) / 64e6, 4) for i in (0, 1)]
    slow = context(both, load_target("rp2040")).compute["around"][0]
    counted = FRONT_END["fixed", "m0"]  # without a floating-point unit
    assert slow["instructions_per_second"] == pytest.approx([counted / 1.15, counted * 1.15], rel=1e-6)
    unknown = make_artifact("int8", features={"hop": 160})
    assert context(unknown, M4).compute["around"] == []
    assert "without a front end: the file does not say its features" in real_time(context(unknown, M4)).why


def test_front_end_that_was_not_measured_leaves_the_share_open(both):
    target = replace(M4, front_end="fixed", core="cortex-m3")
    found = real_time(context(both, target))
    assert ("fixed", "m4 without FPU") in FRONT_END or "were not measured for its front end" in found


def test_figures_of_the_front_end_are_those_that_were_counted(repository):
    counted = json.loads((repository.root / "benchmarks/results/firmware_c.json").read_text())["rows"]
    cores = {
        "Cortex-M4F": ("float", "m4f"),
        "Cortex-M55": ("float", "m55"),
        "Cortex-M4F, fixed point": ("fixed", "m4f"),
        "Cortex-M0+": ("fixed", "m0"),
    }
    found = {cores[row["core"]]: row["instructions"] for row in counted if row["part"] == "log-mel"}
    assert found and found == {key: FRONT_END.get(key) for key in found}


def test_what_is_not_known_is_not_checked(make_artifact):
    floats = real_time(context(make_artifact("float32"), M4))
    assert "no figures for float32 kernels" in floats
    open_ended = real_time(context(make_artifact("int8", golden=False), M4, known=False))
    assert "does not say how often it runs; an inference takes " in open_ended
    assert "inferences a second" in open_ended
    other = replace(load_target("stm32h743"), kernels_build="arduino")
    assert "cycles of cmsis-nn 7.0 arduino on a cortex-m7 were not measured" in real_time(
        context(make_artifact("int8"), other)
    )
    assert real_time(context(make_artifact("int8"), load_target("dcase-asc"))) is None


def test_longest_burst_is_a_step_with_a_part_of_the_event_decoder_s_pass(both, builder):
    """As many cells as go with a step, the dearest, a call of the scene decoder and, with the last, classifiers."""
    rows, calls = parts(both)
    wiring, ends = both.wiring, []
    for layer in wiring.recurrent:
        for cell in layer.cells:
            last = cell == wiring.recurrent[-1].forward
            times = {"encoder_step": 1, "scene_head": 1, cell: cell_steps(wiring)}
            times |= {"classifiers": cell_steps(wiring)} if last else {}
            counts = [float(times.get(row.name.partition("/")[0], 0)) for row in rows]
            ends.append(estimate(rows, counts, M4)[0]["cycles_per_second"])
    burst = longest_burst(both, rows, calls, M4)
    least, most = (max(end) for end in zip(*ends, strict=True))
    assert burst.seconds[0] == pytest.approx(least / 64e6, rel=1e-3)
    assert burst.seconds[1] >= most / 64e6  # and the ring is turned
    assert burst.kept_bytes == pytest.approx(2 * burst.seconds[0] * 16_000, abs=2)
    causal = make_streaming(builder, "int8", 0, scene_hop=1)
    rows, calls = parts(causal)
    assert longest_burst(causal, rows, calls, M4).seconds[0] < burst.seconds[0]


def test_latency_has_the_burst_at_its_lower_end(both):
    slow = replace(M4, clock_hz=100_000)
    given = context(both, slow)
    later = score_embeddings(both.wiring) * both.step_s
    assert later > 0
    check, waits = audio_latency_s(given), round(both.manifest["latency_s"]["events"] + later, 3)
    assert check.value == round(waits + given.burst.seconds[0], 3)
    assert f"a result waits {waits:g} s for " in check.why
    assert not audio_latency_s(context(both, replace(slow, audio_latency_s=waits))).ok


@pytest.fixture(scope="module")
def uncertain(both) -> Report:
    target = replace(M4, clock_hz=round(0.8 * cycles(both, M4)[1]))
    return emulate(both, target, engines=("tflm",), battery=Battery(220, 0.1))


def test_what_is_uncertain_passes_with_a_warning(uncertain, tmp_path):
    assert uncertain.passed
    check = uncertain.check("real_time")
    assert (check.ok, check.certain) == (True, False)
    (warning,) = (note for note in uncertain.notes if note.startswith("warning: "))
    assert "real_time passed, but that is not certain" in warning
    document = uncertain.to_dict()
    assert [each["name"] for each in document["checks"] if not each["certain"]] == ["real_time"]
    assert Report.load(uncertain.save(tmp_path / "report.json")) == uncertain
    text, page = report_text(uncertain), report_html([uncertain])
    for word in (
        "not certain",
        "to make it fit",
        "derived: cycles by 0.322 to 0.365 nJ a cycle",
        "days on 220 mAh at 3 V",
    ):
        assert word in text
    for word in ("not certain", "What would make it fit", "Ranges of cycles"):
        assert word in page
    kept = uncertain.artifact["memory"]["kept_audio_bytes"]
    assert kept > 0
    assert uncertain.check("arena_bytes").value == uncertain.artifact["memory"]["total_bytes"] + kept
    assert document["compute"]["burst_s"][0] * 32_000 == pytest.approx(kept, abs=2)


def test_a_bundle_is_refused_that_can_not_keep_up(both, uncertain, tmp_path):
    slow = replace(M4, clock_hz=1_000_000)
    check = real_time(context(both, slow))
    failed = replace(uncertain, checks=(*uncertain.checks, check))
    with pytest.raises(VerdictFailed, match=r"real_time: .* of the core is over 1.0: "):
        write_bundle([(both, failed)], tmp_path / "firmware")
    assert not (tmp_path / "firmware").exists()


def test_energy_is_cycles_by_what_one_took_on_a_board():
    compute = {"load": [0.1, 0.5], "clock_hz": 100_000_000}
    found = energy_of(compute, M4, Battery(mah=220, duty=0.1, volts=3.0))
    assert found["mj_per_second"] == [round(10e6 * 0.322e-6, 3), round(50e6 * 0.365e-6, 1)]
    assert "NUCLEO-L4R5ZI" in found["source"] and found["derived"] is True
    joules = 220 * 3.6 * 3
    days = [joules / (mj / 1000 * 0.1 * 86_400) for mj in (18.25, 3.22)]
    assert found["battery"]["days"] == pytest.approx(days, rel=0.01)
    own = energy_of(compute, replace(M4, energy_nj_per_cycle=(0.1, 0.2)))
    assert own["mj_per_second"] == [1.0, 10.0] and own["source"] == "stated by the target"
    none = energy_of(compute, load_target("rp2040"), Battery(220))
    assert none["mj_per_second"] is none["battery"]["days"] is None
    assert "no board with a cortex-m0plus was measured" in none["source"]
    assert energy_of(compute | {"load": None}, M4) is None


def test_battery_is_an_option_of_emulate(make_artifact, tmp_path):
    path = make_artifact("int8").save(tmp_path / "scenes.int8.tflite")
    words = ["--target", "stm32u585", "--engine", "tflm", "--battery-mah", "220", "--duty", "0.1", "--json"]
    done = CliRunner().invoke(emulate_command, [str(path), *words])
    assert done.exit_code == 0, done.output
    battery = json.loads(done.stdout)["compute"]["energy"]["battery"]
    assert (battery["mah"], battery["duty"], battery["volts"]) == (220, 0.1, 3)
    assert battery["days"][0] < battery["days"][1]


def changes(artifact, target, free: int = 0) -> dict[str, dict]:
    rows, calls = parts(artifact)
    return {each["change"]: each for each in remedies_for(artifact, rows, calls, target, free)}


def test_each_remedy_has_the_load_that_it_would_give(both, builder):
    slow = replace(M4, clock_hz=round(0.5 * cycles(both, M4)[1]))
    found, causal = changes(both, slow), make_streaming(builder, "int8", 0, scene_hop=1)
    now, then = (context(each, slow).compute["load"] for each in (both, causal))
    assert found["a causal event decoder (recipe real_causal)"]["load"] == pytest.approx(then, rel=0.03)
    for change in ("the scene decoder every 0.08 s (--scene-hop 4)", "the event decoder every 0.24 s (--event-hop 12)"):
        assert then[0] < found[change]["load"][0] < now[0]
        assert found[change]["fits"] == ("maybe" if found[change]["load"][0] <= 1 else "no")
    clock = next(change for change in found if change.startswith("such a core at "))
    assert found[clock]["fits"] == "yes" and found[clock]["load"][1] <= 1.0
    small = changes(both, replace(load_target("rp2040"), clock_hz=1_000_000))
    assert {each["fits"] for change, each in small.items() if not change.startswith("such a core")} == {"no"}


def test_firmware_and_board_have_remedies(make_artifact):
    artifact = make_artifact("int16x8")
    slow = changes(
        artifact, replace(M4, clock_hz=1_000_000, kernels_build="-Os", flash_cycles_per_byte=(4.0, 8.0)), free=10**6
    )
    assert "kernels built with -O2 instead of -Os" in slow
    assert "int8 instead of int16x8" in slow
    assert f"weights in RAM ({artifact.parameter_bytes:,} bytes)" in slow
    reference = changes(make_artifact("int8"), replace(M4, kernels="reference", kernels_version=None))
    others = {"cmsis-nn instead of reference", "x-cube-ai instead of reference", "c99 instead of reference"}
    assert others <= set(reference)
    on_xtensa = changes(make_artifact("int8"), replace(load_target("esp32-s3"), clock_hz=1_000_000))
    assert not any("c99" in change for change in on_xtensa)  # no figures of it there
