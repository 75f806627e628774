"""The C listener, fed with what networks gave in the real TensorFlow Lite Micro, hears what the one in Python hears."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import ALL, CORTEX_M, HERE, HOST, HOST_FIXED, SANITIZED, Core, Program, require
from small_artifacts import DECODED_OTHERWISE, FEATURES, ODD_NAMES, make_two_state
from tflm_declarations import check_for_tflm

from keras_mtl.core import ArtifactError, Labels
from keras_mtl.core.labels import MOST_CLASSES
from keras_mtl.decoding import DecodeSettings, Grid
from keras_mtl.firmware_host.arena import arena_of_members
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.bundle.text import (
    Network,
    listener_texts,
    log_mel_tables,
    network_texts,
    networks_header,
    networks_source,
    static_texts,
)
from keras_mtl.firmware_host.c99 import header, identifier, real
from keras_mtl.firmware_host.device import listener_buffers, pass_cells, pass_embeddings
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite.artifact import Artifact, Port

NAME, SECONDS = "small", 10
DECODING = DecodeSettings(0.5, 0.06, scene_weight=0.3, scene_hold_calls=2)


def many(word: str) -> tuple[str, ...]:
    """A hundred names: the odd ones, and others as long as a name may be."""
    rest = range(MOST_CLASSES - len(ODD_NAMES))
    return (*ODD_NAMES, *(f"{word} {number} {'ß' * 40}" for number in rest))


PARTS = (
    "log_mel",
    "log_mel_fixed",
    "log_mel_float",
    "cells",
    "embeddings",
    "event_decoder",
    "event_stream",
    "listener",
    "scene_smoother",
)
#: Both kinds of event decoder, both types, and one task alone.
KINDS: dict[str, tuple[Any, ...]] = {
    "int8 forwards": ("int8", 0),
    "int16 forwards with a look-ahead": ("int16", 2),
    "int8 both directions": ("int8",),
    "int16 both directions": ("int16",),
    "scenes alone": ("int8", 0, "scenes"),
    "events alone": ("int16", 0, "events"),
    # Hysteresis, weight and hold of a recipe instead of those of the first one.
    "int8 decoded otherwise": ("int8", 0, "joint", DECODED_OTHERWISE),
    # As few classes as there may be, and as many, with names that C might read as something else.
    "two scenes and one event": ("int16", 0, "joint", DECODING, Labels(ODD_NAMES[:2], ODD_NAMES[2:3])),
    "a hundred of each": ("int8", None, "joint", DECODING, Labels(many("scene"), many("event"))),
}
#: What the emulated cores hear, too: the others differ by nothing that a core would do otherwise.
ON_CORES = ("int16 forwards with a look-ahead", "int8 both directions", "a hundred of each")
DETECTIONS = ("scene", "event_begin", "event_end")


@dataclass(frozen=True)
class Recorded:
    """An artifact, its listener in C as a bundle has it, and what it heard in Python.

    Attributes:
        folder: has `samples`, and in `calls` what the networks gave.
        bundle: the sources.
    """

    artifact: Artifact
    folder: Path
    bundle: Path
    heard: list[dict[str, Any]]


def write_listener(artifact: Artifact, bundle: Path) -> Path:
    """The C of a listener as it lies in a bundle, without the networks."""
    numbers = "\n".join(
        f"#define {NAME}_{identifier(member)} {place}".upper().replace("#DEFINE", "#define")
        for place, member in enumerate(artifact.members)
    )
    texts = listener_texts(NAME, artifact)
    texts["listener_networks.h"] = header(NAME, "listener_networks.h", "Numbers of the networks.", numbers)
    texts |= static_texts(["kmtl_network.h", *(f"kmtl_{part}.{end}" for part in PARTS for end in ("h", "c"))])
    tables = log_mel_tables(FEATURES, NAME, f"{NAME}_log_mel")
    texts |= {f"kmtl/{file}": text for file, text in tables.items()}
    for file, text in texts.items():
        (bundle / file).parent.mkdir(parents=True, exist_ok=True)
        (bundle / file).write_text(text)
    return bundle


def sounds() -> np.ndarray:
    """Tones in noise that change every 0.2 s, int16."""
    generator, rate, part = np.random.default_rng(0), FEATURES.sample_rate_hz, 3200
    times = np.arange(part) / rate
    parts = [
        10 ** generator.uniform(-4, -0.3)
        * (np.sin(2 * np.pi * 10 ** generator.uniform(1.8, 3.9) * times) + 0.1 * generator.normal(size=part))
        for _ in range(SECONDS * rate // part)
    ]
    return (20_000 * np.concatenate(parts)).clip(-32768, 32767).astype("<i2")


@pytest.fixture(scope="module")
def recorded(builder, tmp_path_factory) -> Any:
    """Artifacts by their names, each recorded once."""
    known: dict[str, Recorded] = {}

    def record(name: str) -> Recorded:
        if name not in known:
            artifact, folder = make_two_state(builder, *KINDS[name]), tmp_path_factory.mktemp("recorded")
            artifact.save(folder / "artifact")
            sounds().tofile(folder / "samples")
            (folder / "calls").mkdir()
            program = [sys.executable, str(HERE / "record_listener.py")]
            arguments = [str(folder / part) for part in ("artifact", "samples", "calls")]
            subprocess.run([*program, *arguments], check=True, capture_output=True, timeout=120)
            heard = json.loads((folder / "calls" / "heard.json").read_text())
            known[name] = Recorded(artifact, folder, write_listener(artifact, folder / "bundle"), heard)
        return known[name]

    return record


def listen(
    program: Program, recorded: Recorded, push: int, fail: int = 0, listeners: int = 2
) -> tuple[dict[str, int], np.ndarray]:
    """Listeners in turn: what the program printed, and what they heard."""
    calls = ["calls"] * listeners
    said = program.run("samples", "heard", str(push), str(fail), *calls, cwd=recorded.folder).split()
    rows, again = (np.fromfile(recorded.folder / name, "<i8").reshape(-1, 9) for name in ("heard", "again"))
    whole = rows[rows[:, 0] == listeners - 1, 1:].tolist()
    for side in range(listeners):
        assert again[again[:, 0] == side, 1:].tolist() == whole
    return dict(zip(said[::2], map(int, said[1::2]), strict=True)), rows


def as_python_says(rows: np.ndarray, artifact: Artifact) -> list[dict[str, Any]]:
    """Rows of one listener as `heard.json` has them, but for the score of a scene; and its clock is looked at."""
    wiring, labels = artifact.wiring, artifact.facts.labels
    grid, found = Grid.over(FEATURES, wiring.stream.stride, wiring.stream.stride), []
    scores = artifact.members[wiring.classifiers].outputs[0] if wiring.classifiers else Port("none", "int8", (1,), 1.0)

    def seconds(step: int) -> float:
        return round(max(0.0, grid.start_s + grid.step_s * step), 6)

    for _, number, label, step, onset, ms, onset_ms, score_sum, known in rows.tolist():
        assert abs(ms - 1000 * seconds(step)) <= 0.5
        assert abs(onset_ms - 1000 * seconds(onset)) <= 0.5
        kind, ends = DETECTIONS[number], DETECTIONS[number] == "event_end"
        score = None
        if ends:
            mean = score_sum / (step - onset) - scores.zero
            score = round(float(mean * scores.scale), 6)
        name = (labels.scenes if kind == "scene" else labels.events)[label]
        values = (kind, name, seconds(onset), seconds(step) if ends else None, score, seconds(known))
        found.append(dict(zip(("kind", "label", "onset_s", "offset_s", "score", "known_s"), values, strict=True)))
    return found


def without_scores_of_scenes(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each | ({"score": None} if each["kind"] == "scene" else {}) for each in heard]


def at_once(artifact: Artifact) -> list[str]:
    """Options of the compiler so that a pass of both directions takes one push, as in Python."""
    cells = pass_cells(artifact.wiring)
    return [f"-D{NAME.upper()}_CELL_STEPS={cells}u"] if cells else []


def check(core: Core, name: str, pushes: tuple[int, ...], recorded: Any, built: Any, listeners: int = 2) -> None:
    """All listeners hear what Python heard, when it did, whatever the pushes; and their memory is what it was to be.

    With a pass of both directions in one push and, but for plain C here, in parts; of the sanitizers in parts alone.
    """
    require(core)
    of_python = recorded(name)
    options, most = at_once(of_python.artifact), sum(listener_buffers(of_python.artifact).values())
    if options and core is not HOST:
        check_in_parts(built(core, HERE / "c" / "listen.c", bundle=of_python.bundle), of_python, pushes[-1], listeners)
    if options and core is SANITIZED:
        return
    program = built(core, HERE / "c" / "listen.c", *options, bundle=of_python.bundle)
    for push in pushes:
        said, rows = listen(program, of_python, push, 0, listeners)
        assert said["failed"] == 0
        assert said["apart"] <= 1
        assert said["sounded"] == bool(of_python.artifact.facts.labels.events)
        assert said["buffers"] < most if options else said["buffers"] == most
        # The state itself, and what aligns the buffers; pointers of this machine have eight bytes.
        assert 0 < said["bytes"] - said["buffers"] < (400 if core.machine else 1000)
        for side in range(listeners):
            heard = as_python_says(rows[rows[:, 0] == side], of_python.artifact)
            assert heard == without_scores_of_scenes(of_python.heard), (push, side)
    found = {each["kind"] for each in of_python.heard}
    wanted = {"scenes": {"scene"}, "events": {"event_begin", "event_end"}}
    assert found == set().union(*(wanted[task] for task in of_python.artifact.facts.labels.to_dict()))
    assert len(of_python.heard) > 4


def check_in_parts(program: Program, of_python: Recorded, push: int, listeners: int) -> None:
    """With a pass in parts they hear the same, scenes when Python did and events later, but no later than a pass."""
    said, rows = listen(program, of_python, push, 0, listeners)
    assert (said["failed"], said["buffers"]) == (0, sum(listener_buffers(of_python.artifact).values()))
    latest = pass_embeddings(of_python.artifact.wiring) * of_python.artifact.step_s
    for side in range(listeners):
        heard = as_python_says(rows[rows[:, 0] == side], of_python.artifact)
        for scenes in (True, False):
            found, goal = (
                [each for each in of if (each["kind"] == "scene") == scenes]
                for of in (heard, without_scores_of_scenes(of_python.heard))
            )
            later = [one["known_s"] - other["known_s"] for one, other in zip(found, goal, strict=True)]
            assert [one | {"known_s": other["known_s"]} for one, other in zip(found, goal, strict=True)] == goal
            assert all(0.0 <= each <= (0.0 if scenes else latest + 1e-6) for each in later)
            assert scenes or max(later) > 0.0


def _on_this_machine() -> list[Any]:
    """All kinds; of the sanitizers, which take as long as all else here, one of each kind of decoder in every run."""
    usual = ("int16 forwards with a look-ahead", "int8 both directions", "a hundred of each")
    pairs = [(core, name) for core in ALL if core not in CORTEX_M for name in KINDS]
    return [
        pytest.param(*pair, marks=[pytest.mark.slow] if pair[0] is SANITIZED and pair[1] not in usual else [])
        for pair in pairs
    ]


@pytest.mark.parametrize(("core", "name"), _on_this_machine(), ids=lambda each: getattr(each, "name", each))
def test_hears_what_python_hears(core: Core, name: str, recorded, built) -> None:
    check(core, name, (1, 0, 160_000), recorded, built)


def test_memory_with_the_front_end_in_fixed_point(recorded, built) -> None:
    require(HOST_FIXED)
    of_python = recorded("int8 forwards")
    program = built(HOST_FIXED, HERE / "c" / "listen.c", bundle=of_python.bundle)
    said, _ = listen(program, of_python, 0, 0, 1)
    sizes = {
        front_end: sum(listener_buffers(of_python.artifact, front_end).values()) for front_end in ("float", "fixed")
    }
    assert said["buffers"] == sizes["fixed"] < sizes["float"]


def test_settings_of_the_manifest_change_scenes_and_events(recorded) -> None:
    """In Python and, by the test above, in C."""
    usual, other = recorded("int8 forwards"), recorded("int8 decoded otherwise")
    of_kinds = [
        [[each for each in of.heard if each["kind"] in kinds] for of in (usual, other)]
        for kinds in (("scene",), ("event_begin", "event_end"))
    ]
    for heard, heard_otherwise in of_kinds:
        assert heard != heard_otherwise
    (scenes, quick), (events, longer) = of_kinds
    assert len(quick) > len(scenes)
    lasting = [
        sum(each["offset_s"] - each["onset_s"] for each in of if each["offset_s"] and each["label"] == "bark")
        for of in (events, longer)
    ]
    assert lasting[1] > lasting[0]  # by hysteresis and gap
    assert f"{{3u, 1u, {real(0.9)}, " in (other.bundle / "listener.c").read_text()


@pytest.mark.parametrize("core", CORTEX_M, ids=lambda core: core.name)
@pytest.mark.parametrize("name", ON_CORES)
def test_hears_what_python_hears_on_cores(core: Core, name: str, recorded, built) -> None:
    check(core, name, (1 if core is CORTEX_M[0] else 0,), recorded, built, listeners=1)


@pytest.mark.parametrize("compiler", [("gcc", "-std=c99", "-xc"), ("g++", "-std=c++11", "-xc++")], ids=lambda c: c[0])
@pytest.mark.parametrize("name", ["two scenes and one event", "a hundred of each"])
def test_names_are_the_same_in_c(compiler: tuple[str, ...], name: str, builder, tmp_path: Path) -> None:
    """In C and in C++, byte by byte in UTF-8; a compiler that knows trigraphs finds none."""
    require(HOST)
    artifact = make_two_state(builder, *KINDS[name])
    bundle, labels = write_listener(artifact, tmp_path / "bundle"), artifact.facts.labels.to_dict()
    loops = "".join(
        f"  static const char *const {task}[] = SMALL_{task.upper()}_LABELS;\n"
        f"  for (k = 0; k < SMALL_{task.upper()}_COUNT; k++) {{\n    (void)puts({task}[k]);\n  }}\n"
        for task in labels
    )
    (tmp_path / "main.c").write_text(
        f'#include <stdio.h>\n#include "listener.h"\nint main(void) {{\n  int k;\n{loops}  return 0;\n}}\n'
    )
    strict = (
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-trigraphs",
        "-Wtrigraphs",
        f"-I{bundle}",
        f"-I{bundle}/kmtl",
    )
    program = [*compiler, *strict, str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    assert printed.decode("utf-8").splitlines() == [each for names in labels.values() for each in names]
    header = (bundle / "listener.h").read_bytes()
    assert header.isascii()
    assert b"??" not in header


def test_a_hundred_classes_need_no_more_stack(builder, tmp_path: Path, built) -> None:
    """What grows with the classes is static or the caller's: no function of a bundle takes a quarter of the 4 KB."""
    artifact = make_two_state(builder, *KINDS["a hundred of each"])
    folder = write_bundle([(artifact, emulate(artifact, load_target("stm32h743"), ("tflm",)))], tmp_path / "out").path
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    built(HOST, tmp_path / "main.c", "-Wframe-larger-than=1024", bundle=folder)


@pytest.mark.parametrize("name", ["int8 forwards", "int8 both directions"])
def test_a_network_that_fails_ends_it_until_a_reset(name: str, recorded, built) -> None:
    """The first listener's networks fail at some call; the other goes on, and after a reset both hear everything."""
    of_python = recorded(name)
    program = built(HOST, HERE / "c" / "listen.c", *at_once(of_python.artifact), bundle=of_python.bundle)
    for call in (1, 30, 400):
        said, rows = listen(program, of_python, 1000, fail=call)
        assert said["failed"] == 2  # the push, and then the end
        first, other = (as_python_says(rows[rows[:, 0] == side], of_python.artifact) for side in (0, 1))
        assert other == without_scores_of_scenes(of_python.heard)
        assert first == other[: len(first)]
        assert len(first) < len(other)


def test_the_ring_gives_the_last_ones(built, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "kmtl_embeddings.h"\n'
        "int main(void) {\n"
        "  int16_t memory[7 * 3], row[3];\n"
        "  kmtl_embeddings_t ring;\n"
        "  uint16_t came, count, k;\n"
        "  kmtl_embeddings_init(&ring, memory, 7u, sizeof row);\n"
        "  for (came = 0u; came < 60u; came++) {\n"
        "    for (k = 0u; k < 3u; k++) {\n"
        "      row[k] = (int16_t)((came * 3u) + k - 90u);\n"
        "    }\n"
        "    kmtl_embeddings_push(&ring, row);\n"
        "    count = (uint16_t)(1u + ((came * 5u) % 7u));\n"
        "    if (count <= (came + 1u)) {\n"
        "      const int16_t *const last = (const int16_t *)kmtl_embeddings_last(&ring, count);\n"
        '      printf("%u:", (unsigned)count);\n'
        "      for (k = 0u; k < (count * 3u); k++) {\n"
        '        printf("%d,", (int)last[k]);\n'
        "      }\n"
        '      printf(" ");\n'
        "    }\n"
        "  }\n"
        "  return 0;\n"
        "}\n"
    )
    printed = built(HOST, tmp_path / "main.c").run(cwd=tmp_path).split()
    expected = []
    for came in range(60):
        count = 1 + came * 5 % 7
        if count <= came + 1:
            numbers = range((came + 1 - count) * 3 - 90, (came + 1) * 3 - 90)
            expected.append(f"{count}:" + "".join(f"{number}," for number in numbers))
    assert printed == expected


def test_the_ring_is_not_turned_again_for_the_few_that_are_read_often(built, tmp_path: Path) -> None:
    """Of 50: all of them every 40, and the last 9 with every fourth, as events and scenes read them."""
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "kmtl_embeddings.h"\n'
        "int main(void) {\n"
        "  int32_t memory[50];\n"
        "  kmtl_embeddings_t ring;\n"
        "  int32_t came;\n"
        "  unsigned turned = 0u, wrong = 0u;\n"
        "  kmtl_embeddings_init(&ring, memory, 50u, sizeof came);\n"
        "  for (came = 0; came < 850; came++) {\n"
        "    uint16_t next, count;\n"
        "    kmtl_embeddings_push(&ring, &came);\n"
        "    next = ring.next;\n"
        "    for (count = 9u; count <= 50u; count = (uint16_t)(count + 41u)) {\n"
        "      if ((came >= (int32_t)count) && ((came % ((count == 9u) ? 4 : 40)) == 0)) {\n"
        "        const int32_t *const last = (const int32_t *)kmtl_embeddings_last(&ring, count);\n"
        "        wrong += (last[0] != (came + 1 - (int32_t)count)) || (last[count - 1u] != came) ? 1u : 0u;\n"
        "      }\n"
        "    }\n"
        "    turned += (ring.next != next) ? 1u : 0u;\n"
        "  }\n"
        '  printf("%u %u", wrong, turned);\n'
        "  return 0;\n"
        "}\n"
    )
    wrong, turned = map(int, built(HOST, tmp_path / "main.c").run(cwd=tmp_path).split())
    assert wrong == 0
    assert 20 <= turned <= 42  # once for each of 20 readings of all, once behind it, and once when it is full


def test_a_file_has_no_listener(make_artifact) -> None:
    with pytest.raises(ArtifactError, match="takes clips, and no stream"):
        listener_texts(NAME, make_artifact("int8"))


@pytest.mark.parametrize("name", ["int8 both directions", "scenes alone"])
def test_networks_in_one_arena_and_the_example_are_well_formed(name: str, builder, tmp_path: Path) -> None:
    require(HOST)
    artifact = make_two_state(builder, *KINDS[name])
    shared = arena_of_members(artifact.members, {})["shared_bytes"]
    networks = [
        Network(f"{NAME}_{role}", role, member, 4096, (4096, 5120)) for role, member in artifact.members.items()
    ]
    bundle = write_listener(artifact, tmp_path / "bundle")
    texts = {f"models/{file}": text for network in networks for file, text in network_texts(network).items()}
    texts["listener_networks.h"] = networks_header(NAME, "listener_networks.h", networks, (shared, shared))
    texts["listener_networks.cc"] = networks_source(NAME, "listener_networks.h", networks, "models/", True)
    texts |= static_texts(["kmtl_tflm.h"])
    for file, text in texts.items():
        (bundle / file).parent.mkdir(parents=True, exist_ok=True)
        (bundle / file).write_text(text)
    assert check_for_tflm(bundle, tmp_path) == len(networks) + 1
    example = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        f"-I{bundle}",
        str(bundle / "listener_main.c"),
    ]
    subprocess.run(["gcc", "-fsyntax-only", *example], check=True)
    assert f"#define SMALL_ARENA_BYTES {shared}" in texts["listener_networks.h"]
    assert len(re.findall(r"uint8_t \w+_arena\[", texts["listener_networks.cc"])) == 1
