"""The systems by their ids: tasks, features, and what their sources print (no TensorFlow here).

The networks themselves are in `keras_mtl.models`, under the same ids. Figures of a system are never typed in here: what
is here is what the sources say, for the table that holds the built networks against them.

Source of the paper's figures: M. Surkov 2024, "Joint recognition of acoustic scenes and sound events by compact
multitask networks", tables 1 to 3. "public": read from a public baseline. "inferred": found by search so that the
built network meets the figures, which are all that the paper prints.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_mtl.core import LogMelSettings, RecipeError


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        id: as in recipes and run folders.
        tasks: what it predicts: some of "scenes" and "events".
        basis: "public" or "inferred", see above.
        features: the features that it was designed for; the normalisation comes from the training set.
        audio_seconds: the stretch of audio over which its source counts MACs.
        fixed_length: whether the network takes scene clips of one length only: of the recipe's.
        paper_params, paper_macs_per_second: the paper's figures.
        paper_accuracy, paper_event_f1: the paper's scores on TAU and DESED in per cent; None where it does not do that
            task or the paper gives a row for each training algorithm.
        convention: the MAC convention of its source, see `keras_mtl.cost.layer_work`.
        source_macs: what its source prints for `audio_seconds` in that convention; None where no source prints any.
        remark: what a reader of the figures should know.
    """

    id: str
    tasks: tuple[str, ...]
    basis: str
    paper_params: int
    paper_macs_per_second: int
    features: LogMelSettings = field(default_factory=LogMelSettings)
    audio_seconds: int = 1
    fixed_length: bool = False
    paper_accuracy: float | None = None
    paper_event_f1: float | None = None
    convention: str = "default"
    source_macs: int | None = None
    remark: str = ""

    @property
    def frames(self) -> int:
        """Log-mel frames of `audio_seconds`."""
        return self.features.frames(self.audio_seconds * self.features.sample_rate_hz)


#: The DCASE baselines for events: 62.5 frames a second.
_HOP_256 = LogMelSettings(hop=256, keep_last_frame=True)

SYSTEMS: dict[str, System] = {
    system.id: system
    for system in (
        System(
            id="baseline_asc",
            tasks=("scenes",),
            basis="public",
            paper_params=65_000,
            paper_macs_per_second=29_000_000,
            features=LogMelSettings(
                sample_rate_hz=44_100, window=1764, fft=2048, hop=882, mel_bands=40, keep_last_frame=True
            ),
            fixed_length=True,
            paper_accuracy=42.9,
            remark="its authors print 29,234,920 MACs: with the pools (34,560) and half of a dense layer (-3,200); "
            "the paper's 65 k are its peak activations in bytes (65,280), not its parameters",
        ),
        System(
            id="cp_mobile",
            tasks=("scenes",),
            basis="public",
            paper_params=61_148,
            paper_macs_per_second=29_419_156,
            features=LogMelSettings(
                sample_rate_hz=32_000, window=3072, fft=4096, hop=500, mel_bands=256, keep_last_frame=True
            ),
            paper_accuracy=57.0,
            convention="nessi",
            source_macs=29_419_156,
            remark="its source's convention counts batch normalisation once",
        ),
        System(
            id="baseline_sed",
            tasks=("events",),
            basis="public",
            paper_params=1_000_000,
            paper_macs_per_second=93_000_000,
            features=_HOP_256,
            audio_seconds=10,
            paper_event_f1=43.3,
            convention="thop",
            source_macs=930_901_932,
            remark="its source counts ten seconds of 626 frames, with batch normalisation, pools, gates and softmax",
        ),
        System(
            id="cp_mobile_rnn",
            tasks=("events",),
            basis="inferred",
            paper_params=966_000,
            paper_macs_per_second=34_000_000,
            paper_event_f1=35.5,
            remark="counted on one second (7 embeddings); ten seconds at a time take 4 % less (63)",
        ),
        System(
            id="cnn",
            tasks=("scenes",),
            basis="inferred",
            paper_params=60_000,
            paper_macs_per_second=29_000_000,
            paper_accuracy=53.3,
        ),
        System(
            id="crnn",
            tasks=("events",),
            basis="inferred",
            paper_params=628_000,
            paper_macs_per_second=43_000_000,
            paper_event_f1=46.6,
        ),
        System(
            id="mt",
            tasks=("scenes", "events"),
            basis="inferred",
            paper_params=633_500,
            paper_macs_per_second=43_200_000,
            remark="scores depend on the training algorithm",
        ),
        System(
            id="fdy_lka",
            tasks=("events",),
            basis="inferred",
            paper_params=9_000_000,
            paper_macs_per_second=7_000_000_000,
            features=_HOP_256,
            audio_seconds=10,
            paper_event_f1=58.3,
            remark="the paper's 7 G in a column of MACs a second fit ten seconds; a teacher, never for a device",
        ),
    )
}


def system_of(name: str) -> System:
    """The system with this id.

    Raises:
        RecipeError: there is none.
    """
    if name not in SYSTEMS:
        raise RecipeError(f"no system {name!r}", hint=f"systems: {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
