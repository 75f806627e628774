"""The C event decoder, scene smoother and driver of recurrent cells against Python: the same to the integer."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import ALL, CORTEX_M, HERE, HOST, SANITIZED, Program

from keras_mtl.core.labels import MOST_CLASSES
from keras_mtl.decoding import (
    Change,
    DecodeSettings,
    EventDecoder,
    Grid,
    SceneSmoother,
    decode,
    decoder_numbers,
    events_of,
    integer_threshold,
)
from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.firmware_host.device.events import two_way_pass
from keras_mtl.tflite.artifact import Port, Recurrent, Wiring

TRACKS = 10_000


@pytest.fixture(scope="module", params=ALL, ids=lambda core: core.name)
def program(request, built) -> Program:
    return built(request.param, HERE / "c" / "run.c")


@pytest.fixture(scope="module")
def host_program(built) -> Program:
    return built(HOST, HERE / "c" / "run.c")


@dataclass(frozen=True)
class Group:
    """Tracks of one length, each a class: int16 scores [steps, tracks], and the numbers of each [tracks]."""

    scores: np.ndarray
    median: np.ndarray
    on_above: np.ndarray
    off_above: np.ndarray
    shortest: np.ndarray
    gap: np.ndarray
    zero: int

    def content(self, columns: slice) -> bytes:
        """Some tracks as those of one decoder, as `run decode` reads them."""
        numbers = (self.median, self.on_above, self.off_above, self.shortest, self.gap)
        each = np.stack([number[columns] for number in numbers], axis=1)
        header = [len(each), each[:, 0].max(), self.zero, len(self.scores)]
        return b"".join(part.astype("<i2").tobytes() for part in (np.array(header), each, self.scores[:, columns]))

    def decoder(self) -> EventDecoder:
        numbers = {key: value for key, value in vars(self).items() if key != "scores"}
        return EventDecoder(self.scores.shape[1], **numbers)

    def changes(self) -> dict[int, list[tuple[int, ...]]]:
        """What the causal decoder of Python says of each track."""
        decoder = self.decoder()
        # In parts of different sizes.
        cuts = [0, *sorted({len(self.scores) // 7, len(self.scores) // 2}), len(self.scores)]
        found = [c for a, b in itertools.pairwise(cuts) for c in decoder.push(self.scores[a:b])]
        return by_track([*found, *decoder.finish()])


def by_track(changes: list[Change]) -> dict[int, list[tuple[int, ...]]]:
    found: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for onset, offset, label, score_sum, ended in changes:
        found[label].append((onset, offset, int(score_sum), int(ended)))
    return found


def random_group(generator: np.random.Generator, tracks: int) -> Group:
    """Scores that wander, rest and repeat, 8-bit and 16-bit, all of a network's range in use; other numbers a track."""
    steps = int(generator.integers(0, 90))
    limits = np.iinfo(generator.choice(["int8", "int16"]))
    wander = np.cumsum(generator.normal(0, generator.choice([0.05, 0.3, 2.0]), (steps, tracks)), axis=0)
    wander += generator.normal(0, 0.2, (1, tracks)) + generator.normal(0, 0.1, (steps, tracks))
    scores = np.clip(limits.min + (1 + np.sin(wander)) / 2 * (limits.max - limits.min + 1), limits.min, limits.max)
    low, high = np.sort(generator.integers(limits.min, limits.max + 1, (2, tracks)), axis=0)
    medians = generator.choice([1, 3, 5, 7, 11, 21], tracks)
    # As often with one threshold as with two; as often as not without a shortest and without a gap.
    off = np.where(generator.random(tracks) < 0.5, high, low)
    shortest, gap = generator.integers(0, (14, 9), (tracks, 2)).T * (generator.random((2, tracks)) < 0.5)
    return Group(scores.astype(np.int16), medians, high, off, shortest, gap, int(limits.min))


def test_c_decoder_is_the_causal_one_on_random_tracks(program: Program, tmp_path: Path) -> None:
    generator = np.random.default_rng(11)
    groups = [random_group(generator, TRACKS // 50) for _ in range(50)]
    expected, ended = [], 0
    with (tmp_path / "tracks").open("wb") as file:
        for number, group in enumerate(groups):
            classes = MOST_CLASSES if number % 10 == 9 else 1 + number % 8
            changes = group.changes()
            for first in range(0, group.scores.shape[1], classes):
                columns = range(TRACKS // 50)[first : first + classes]
                file.write(group.content(slice(first, first + classes)))
                expected += [(len(expected), changes, columns)]
    program.run("decode", "tracks", "changes", cwd=tmp_path)
    rows = np.fromfile(tmp_path / "changes", "<i8").reshape(-1, 6)
    found: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for clip, onset, offset, label, score_sum, is_end in rows.tolist():
        found[clip, label].append((onset, offset, score_sum, is_end))
    for clip, changes, columns in expected:
        for label, column in enumerate(columns):
            assert found[clip, label] == changes[column], (clip, label)
            ended += sum(change[3] for change in changes[column])
    assert ended > TRACKS
    assert sum(len(columns) for *_, columns in expected) == TRACKS


def test_changes_come_as_soon_as_they_are_known(host_program: Program, tmp_path: Path) -> None:
    """In the order of the steps by which they are known, and of the classes within one, from C and from Python."""
    generator = np.random.default_rng(5)
    scores = generator.integers(-100, 100, (400, 6)).astype(np.int16)
    medians, shortest = np.array([5, 5, 5, 1, 3, 7]), np.array([0, 1, 0, 0, 2, 3])
    gap = np.array([0, 0, 2, 1, 0, 2])
    group = Group(scores, medians, np.full(6, 20), np.full(6, -10), shortest, gap, -100)
    decoder, said = group.decoder(), []
    for number, step in enumerate(group.scores):
        for change in decoder.push(step[None]):
            # A filter knows of a step half of it later. An end is known when the pause is longer than the gap, a begin
            # when the event has lasted for the shortest: later by up to a pause where it is interrupted.
            known = number - medians[change.label] // 2
            least = change.onset + max(0, shortest[change.label] - 1)
            most = least + gap[change.label] if least > change.onset else least
            assert known == change.offset + gap[change.label] if change.ended else least <= known <= most
            said.append(change)
    assert {change.label for change in said} == set(range(6))
    said += decoder.finish()
    (tmp_path / "tracks").write_bytes(group.content(slice(None)))
    host_program.run("decode", "tracks", "changes", cwd=tmp_path)
    rows = np.fromfile(tmp_path / "changes", "<i8").reshape(-1, 6)[:, 1:].tolist()
    assert rows == [[c.onset, c.offset, c.label, c.score_sum, int(c.ended)] for c in said]
    assert len(said) > 100


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_integers_give_the_events_of_their_probabilities(dtype: str) -> None:
    generator, limits = np.random.default_rng(2), np.iinfo(dtype)
    scale, zero_point = (1 / 256, -128) if dtype == "int8" else (1 / 32768, 0)
    port = Port("strong", dtype, (1, 40), scale, zero_point)
    labels = [str(label) for label in range(40)]
    classes = {"3": {"threshold": 0.9, "gap_s": 0.08}, "7": {"median_s": 0.2, "shortest_s": 0.2}}
    for threshold, hysteresis in ((0.0, 0.0), (0.3, 0.0), (0.5, 0.0), (0.5, 0.2), (0.8, 0.8)):
        for median in (1, 3, 11):
            group = random_group(generator, 40)
            scores = (group.scores - group.scores.min(initial=0)) / 65_535
            scores = np.clip(np.rint(scores / scale) + zero_point, limits.min, limits.max).astype(dtype)
            if not len(scores):
                continue
            grid = Grid(0.04, -0.005, len(scores), len(scores) * 0.04)
            settings = DecodeSettings(threshold, median * 0.04, hysteresis, classes=classes)
            decoder = EventDecoder(40, **decoder_numbers(settings, labels, grid.step_s, port.to_dict()))
            ours = events_of([*decoder.push(scores), *decoder.finish()], grid, labels)
            events = decode(port.dequantize(scores), grid, labels, settings)
            assert [event for event, _ in ours] == [event for event, _ in events]
            real = [(score - zero_point) * scale for _, score in ours]
            np.testing.assert_allclose(real, [score for _, score in events], atol=1e-6)


@pytest.mark.parametrize(("dtype", "scale", "zero_point"), [("int8", 1 / 256, -128), ("int16", 1 / 32768, 0)])
def test_integer_threshold_is_exact(dtype: str, scale: float, zero_point: int) -> None:
    port = Port("strong", dtype, (1, 40), scale, zero_point)
    limits = np.iinfo(dtype)
    for threshold in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        integer = integer_threshold(threshold, scale, zero_point, dtype)
        above = port.dequantize(np.arange(limits.min, limits.max + 1)) > np.float32(threshold)
        np.testing.assert_array_equal(above, np.arange(limits.min, limits.max + 1) > integer)


def test_scenes_are_smoothed_as_in_python(program: Program, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    cases = []
    for number in range(60):
        classes, width = int(generator.integers(1, 13)) if number % 10 else MOST_CLASSES, 1 + number % 2
        scale = np.float32(0.1 if width == 1 else 0.0005)
        logits = np.cumsum(generator.normal(0, 12 if width == 1 else 2500, (50, classes)), axis=0)
        limits = np.iinfo("int8" if width == 1 else "int16")
        logits = np.clip(logits, limits.min, limits.max).astype("<i2")
        cases.append(
            (int(generator.integers(1, 5)), np.float32(generator.choice([0.1, 0.4, 1.0])), scale, width, logits)
        )
    with (tmp_path / "logits").open("wb") as file:
        for hold, weight, scale, width, logits in cases:
            file.write(np.array([logits.shape[1], hold, width, len(logits)], "<i2").tobytes())
            file.write(np.array([weight, scale], "<f4").tobytes() + logits.tobytes())
    program.run("smooth", "logits", "scenes", cwd=tmp_path)
    content, at, held = (tmp_path / "scenes").read_bytes(), 0, 0
    for hold, weight, scale, _, logits in cases:
        smoother, classes = SceneSmoother(logits.shape[1], float(weight), hold), logits.shape[1]
        for step in logits:
            scene = smoother.push(step.astype(np.float32) * scale)
            c_scene = int(np.frombuffer(content, "<i4", 1, at)[0])
            c_scores = np.frombuffer(content, "<f4", classes, at + 4)
            np.testing.assert_allclose(c_scores, smoother.scores, atol=2e-6)
            assert c_scene == scene
            held += scene != int(smoother.scores.argmax())
            at += 4 + 4 * classes
    assert at == len(content)
    assert held > 20


def sums(number: int, inputs: int, units: int, dtype: str) -> Any:
    """The cell of integer sums that `run.c` has, as an interpreter would be invoked."""
    unit = np.arange(units)[:, None]

    def weights(count: int, shift: int) -> np.ndarray:
        return (number * 31 + unit * 17 + (np.arange(count) + shift) * 7) % 15 - 7

    of_input, of_state, most = weights(inputs, 0), weights(units, 3), np.iinfo(dtype).max

    def invoke(given: list[np.ndarray]) -> list[np.ndarray]:
        heard, state = (values[0].astype(np.int64) for values in given)
        total = unit[:, 0] - number + of_input @ heard + of_state @ state
        # C cuts towards zero.
        return [np.clip(np.sign(total) * (np.abs(total) // 5), -most, most).astype(dtype)[None]]

    return invoke


@pytest.mark.parametrize(
    ("layers", "inputs", "embedding", "state", "shift"),
    [
        (1, 8, "int8", "int8", None),
        (2, 8, "int8", "int16", 7),
        (2, 20, "int16", "int16", None),
        (3, 5, "int8", "int16", 3),
        (3, 7, "int8", "int8", None),
    ],
)
def test_cells_are_driven_as_in_python(
    program: Program, layers: int, inputs: int, embedding: str, state: str, shift: int | None, tmp_path: Path
) -> None:
    generator, units, zero, state_zero, number = np.random.default_rng(layers), 6, -5, 3, 40
    limits, expected = np.iinfo(embedding), []
    with (tmp_path / "embeddings").open("wb") as file:
        for steps in (1, 2, 25):
            heard = generator.integers(limits.min, limits.max + 1, (steps, inputs)).astype(embedding)
            widths = [np.dtype(embedding).itemsize, np.dtype(state).itemsize]
            bridge = [int(shift is not None), shift or 0, zero]
            file.write(np.array([layers, inputs, units, *widths, *bridge, state_zero, number, steps], "<i2").tobytes())
            file.write(heard.tobytes())
            expected.append(driven_by_python(heard, layers, units, state, shift, (zero, state_zero, number)))
    program.run("cells", "embeddings", "states", cwd=tmp_path)
    content, at = (tmp_path / "states").read_bytes(), 0
    for states in expected:
        for step, row in enumerate(states):
            assert int(np.frombuffer(content, "<u4", 1, at)[0]) == step
            np.testing.assert_array_equal(np.frombuffer(content, state, 2 * units, at + 4), row)
            at += 4 + row.nbytes
        assert int(np.frombuffer(content, "<i4", 1, at)[0]) == 1
        at += 4
    assert at == len(content)


def driven_by_python(
    heard: np.ndarray, layers: int, units: int, state: str, shift: int | None, numbers: tuple[int, int, int]
) -> np.ndarray:
    """What the driver in Python gives the classifiers: states [steps, 2 * units]."""
    zero, state_zero, number = numbers
    steps, inputs = heard.shape
    state_port = Port("state", state, (1, units), zero_point=state_zero)
    members, recurrent = {}, []
    for layer in range(layers):
        width = inputs if layer == 0 else 2 * units
        source = Port("input", state if shift is not None or layer else heard.dtype.name, (1, width))
        names = [f"cell_{layer}_{side}" for side in range(2)]
        for side, name in enumerate(names):
            cell = sums(number + 2 * layer + side, width, units, state)
            members[name] = OpenMember(cell, (source, state_port), (state_port,))
        recurrent.append(Recurrent(*names))
    # Classifiers that give the states themselves.
    members["classifiers"] = OpenMember(lambda given: [given[0], given[0]], (), ())
    wiring = Wiring(recurrent=tuple(recurrent), shift=shift, classifiers="classifiers", event_ring=steps)
    embedding = Port("embedding", heard.dtype.name, (1, inputs), zero_point=zero)
    return two_way_pass(wiring, members, embedding, heard, slice(None))[0]


def test_a_cell_that_fails_ends_the_run(host_program: Program, tmp_path: Path) -> None:
    """Cell 99 of run.c says that it did not work: here the backward cell of the second layer."""
    header = np.array([2, 4, 3, 1, 1, 0, 0, 0, 0, 96, 5], "<i2")
    (tmp_path / "embeddings").write_bytes(header.tobytes() + bytes(20))
    host_program.run("cells", "embeddings", "states", cwd=tmp_path)
    assert (tmp_path / "states").read_bytes() == np.int32(0).tobytes()


def test_layers_without_two_cells_alike_are_refused(built, tmp_path: Path) -> None:
    """A caller's mistakes: none of them is followed, so the sanitizers see nothing and no cell is invoked."""
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "kmtl_cells.h"\n'
        "static int invoked = 0;\n"
        "static bool invoke(void *context, const void *input, const void *state, void *next) {\n"
        "  (void)context, (void)input, (void)state, (void)next;\n"
        "  invoked++;\n"
        "  return true;\n"
        "}\n"
        "static bool emit(void *context, uint32_t step, const void *states) {\n"
        "  (void)context, (void)step, (void)states;\n"
        "  return true;\n"
        "}\n"
        "int main(void) {\n"
        "  static int8_t states[2][2 * 2 * 3], running[2 * 3], embeddings[2 * 3];\n"
        "  const kmtl_cell_t cell = {invoke, NULL, 3u, 3u, 1u, 1u, 0}, other = {invoke, NULL, 3u, 2u, 1u, 1u, 0},\n"
        "                    wide = {invoke, NULL, 3u, 3u, 1u, 2u, 0};\n"
        "  const kmtl_cells_layer_t whole = {&cell, &cell, states[0]},\n"
        "                           wrong[] = {{&cell, NULL, states[1]}, {NULL, &cell, states[1]},\n"
        "                                      {&cell, &other, states[1]}, {&cell, &wide, states[1]}};\n"
        "  size_t k, place;\n"
        "  for (k = 0u; k < sizeof wrong / sizeof wrong[0]; k++) {\n"
        "    for (place = 0u; place < 2u; place++) {\n"
        "      const kmtl_cells_layer_t layers[] = {place ? whole : wrong[k], place ? wrong[k] : whole};\n"
        "      const kmtl_cells_t network = {layers, 2u, {false, 0u, 0}, NULL, running};\n"
        '      printf("%d", kmtl_cells_run(&network, embeddings, 2u, emit, NULL));\n'
        "    }\n"
        "  }\n"
        "  for (k = 0u; k < 2u; k++) {\n"
        "    const kmtl_cells_t network = {&whole, (uint16_t)k, {false, 0u, 0}, NULL, running};\n"
        '    printf("%d", kmtl_cells_run(&network, embeddings, 2u, emit, NULL));\n'
        "    if (k == 0u) {\n"
        '      printf(" %d ", invoked);\n'
        "    }\n"
        "  }\n"
        '  printf(" %d", invoked);\n'
        "  return 0;\n"
        "}\n"
    )
    # Eight layers that are wrong and no layer at all, then a layer that is as it should be: two cells over two steps.
    assert built(SANITIZED, tmp_path / "main.c").run(cwd=tmp_path) == "000000000 0 1 4"


@pytest.mark.parametrize("core", [core for core in ALL if core is not SANITIZED], ids=lambda core: core.name)
def test_steps_in_milliseconds_are_those_of_the_grid(built, core: Any, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "kmtl_event_decoder.h"\n'
        "int main(void) {\n"
        "  uint32_t step;\n"
        "  for (step = 0u; step < 300u; step++) {\n"
        '    printf("%lu\\n", (unsigned long)kmtl_event_step_ms(step, 4u, 160u, 16000u));\n'
        "  }\n"
        '  printf("%lu\\n", (unsigned long)(kmtl_event_step_ms(4000000000u, 4u, 160u, 16000u) / 1000u));\n'
        "  return 0;\n"
        "}\n"
    )
    *printed, last = map(int, built(core, tmp_path / "main.c").run(cwd=tmp_path).split())
    edges = Grid(0.04, -0.005, 300, 100.0).boundaries_s()[:300]
    assert np.abs(np.array(printed) - 1000 * edges).max() <= 0.5
    assert last == 159_999_999
    assert core.machine == "" or core in CORTEX_M
