"""Clips by a streaming artifact: each from a start to its end, as by a device that is switched on for it.

Scoring needs this: of the clips that a network is scored on, no sound before or after them is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.device.events import Scores
from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.firmware_host.device.stream import StreamLoop
from keras_mtl.tflite.artifact import Wiring


class StreamClips:
    """Runs a streaming artifact over clips.

    Beyond a clip's end comes what stands for 0, as it does beyond the ends in the encoder's padding, until the encoder,
    which is some steps late, has given every embedding of the clip.

    Args:
        wiring: how the members work together.
        members: each member by its name, opened.

    Raises:
        ArtifactError: the encoder has other ports than the wiring.
    """

    def __init__(self, wiring: Wiring, members: Mapping[str, OpenMember]) -> None:
        beyond = members[wiring.encoder].inputs[0].zeros()[0, ..., 0]
        self._beyond = np.concatenate([beyond[:0], *[beyond] * wiring.stream.latency])
        # A decoder's outputs do not depend on the other one, which need not run.
        scenes_only = replace(wiring, recurrent=(), classifiers="", event_ring=0, look_ahead=0)
        events_only = replace(wiring, scene_head="", scene_ring=0)
        self._scenes = StreamLoop(scenes_only, members) if wiring.scene_head else None
        self._events = StreamLoop(events_only, members) if wiring.classifiers else None

    def scenes(self, clip: np.ndarray) -> np.ndarray:
        """The last logits of the scene decoder [scenes], as integers.

        Args:
            clip: log-mel [frames, mel_bands, 1] in the encoder's type, at least as much as the scene decoder reads.

        Raises:
            ArtifactError: too little for it, or an artifact without a scene decoder.
        """
        if self._scenes is None:
            raise ArtifactError("the artifact has no scene decoder", hint="give it event_clips")
        self._scenes.reset()
        calls = [each.scenes for each in self._scenes.push(self._followed(clip)) if each.scenes is not None]
        if not calls:
            raise ArtifactError(f"{len(clip)} frames are too few for the scene decoder", hint="give longer clips")
        return calls[-1]

    def events(self, clip: np.ndarray) -> Scores:
        """Probabilities "strong" and logits "attention" of each step, integers [steps, events].

        Args:
            clip: log-mel [frames, mel_bands, 1] in the encoder's type.

        Raises:
            ArtifactError: an artifact without an event decoder.
        """
        if self._events is None:
            raise ArtifactError("the artifact has no event decoder", hint="give it scene_clips")
        self._events.reset()
        found = [*self._events.push(self._followed(clip)), self._events.finish()]
        strong, attention = (
            np.concatenate(each) for each in zip(*((one.strong, one.attention) for one in found), strict=True)
        )
        return strong, attention

    def _followed(self, clip: np.ndarray) -> np.ndarray:
        return np.concatenate([clip[..., 0], self._beyond])
