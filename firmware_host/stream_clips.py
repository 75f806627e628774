"""What a streaming set says of clips: each is heard from a start to its end, as by a device switched on for it.

Scoring needs this: of the clips that a network is scored on, no sound before or after them is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from keras_mtl.errors import ArtifactError
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.stream_set_loop import StreamSetLoop
from keras_mtl.tflite.stream_set_wiring import StreamWiring


class StreamClips:
    """Hears clips by a streaming set. Its calls are those of a `DeviceLoop`.

    Beyond a clip's end comes what stands for 0, as it does beyond the ends in the encoder's padding, until the encoder,
    which is some steps late, has given every embedding of the clip.

    Args:
        wiring: how the members work together.
        members: each member by its name, opened.

    Raises:
        ArtifactError: the encoder has other ports than the wiring.
    """

    def __init__(self, wiring: StreamWiring, members: Mapping[str, Member]) -> None:
        port, stream = members[wiring.encoder].inputs[0], wiring.stream
        shape = (stream.latency * stream.stride, *port["shape"][2:-1])
        self._beyond = np.full(shape, port["zero_point"] or 0, port["dtype"])
        # A decoder's answers do not depend on the other one, which need not run.
        scenes_only = replace(wiring, recurrent=(), classifiers="", clip_frames=0, look_ahead=0)
        self._scenes = StreamSetLoop(scenes_only, members) if wiring.scene_head else None
        self._events = StreamSetLoop(replace(wiring, scene_head=""), members) if wiring.classifiers else None

    def scenes(self, second: np.ndarray) -> np.ndarray:
        """Log-mel of as much as the scene decoder hears [frames, mel_bands, 1], in the encoder's type.

        Returns:
            The decoder's last logits [scenes], as integers.

        Raises:
            ArtifactError: too little for it.
        """
        assert self._scenes is not None
        self._scenes.reset()
        calls = self._scenes.push(self._followed(second)).scenes
        if not calls:
            raise ArtifactError(f"the scene decoder hears nothing in {len(second)} frames", hint="give longer clips")
        return calls[-1][1]

    def events(self, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-mel of a clip [frames, mel_bands, 1], in the encoder's type, to what is heard in each step.

        Returns:
            Probabilities "strong" and logits "attention", integers [steps, events].
        """
        assert self._events is not None
        self._events.reset()
        heard = [self._events.push(self._followed(clip)), self._events.finish()]
        strong, attention = (
            np.concatenate(each) for each in zip(*((a.strong, a.attention) for a in heard), strict=True)
        )
        return strong, attention

    def _followed(self, clip: np.ndarray) -> np.ndarray:
        return np.concatenate([clip[..., 0], self._beyond])
