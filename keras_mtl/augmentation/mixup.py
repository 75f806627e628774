"""Mixup (Zhang et al. 2018): two clips in one, and their labels in the same shares."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded, each_clip


@keras.saving.register_keras_serializable(package="keras_mtl")
class Mixup(Seeded):
    """x = s x_i + (1 - s) x_j and y = s y_i + (1 - s) y_j, with a share s and a partner j drawn for each clip.

    s is max(b, 1 - b) of b by Beta(alpha, alpha): pairs have no order, so the mixtures are the same, and a clip keeps
    the larger part of itself. The network's inputs are mixed, which are normalised log-mel.

    Event clips change places only within their kind (strong, weak, unlabelled), so that each mixture has the labels of
    both its parts or of neither. Strong frames are mixed by shares and not by their maximum: then the loss of the
    mixture is the mixture of both losses, as Zhang derives it, and in a mean of dB values a part with a small share
    leaves little trace, so that a label of 1 for it would be false.

    Args:
        alpha: of the Beta distribution; 0 mixes nothing.
        scenes: number of scenes.
        seed: seed of shares and partners.
    """

    def __init__(self, alpha: float = 0.0, scenes: int = 0, seed: int = 0, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(seed=seed, **kwargs)
        if alpha < 0.0:
            raise ValueError(f"alpha {alpha} is negative")
        self.alpha, self.scenes = alpha, scenes

    def call(self, batch, training=False):  # type: ignore[no-untyped-def]
        """A batch of one task (see `MultitaskModel`) to the same keys.

        A scene batch gains `scene_shares` [b, scenes], the mixed labels; its `scene` stays the larger part's.
        """
        if not training or self.alpha == 0.0:
            return batch
        clips = ops.shape(batch["log_mel"])[0]
        kinds = 2.0 * batch["has_strong"] + batch["has_weak"] if "has_strong" in batch else None
        partner = self.permutation(clips, kinds)
        share = self.beta(clips, self.alpha)
        # Of a very small alpha both draws behind a share can be 0: such a clip stays whole.
        share = ops.where(ops.isnan(share), 1.0, ops.maximum(share, 1.0 - share))

        def mixed(values):  # type: ignore[no-untyped-def]
            mine = each_clip(share, values)
            return mine * values + (1.0 - mine) * ops.take(values, partner, axis=0)

        out = {**batch, "log_mel": mixed(batch["log_mel"])}
        if "scene" in batch:
            out["scene_shares"] = mixed(ops.one_hot(batch["scene"], self.scenes))
        return out | {key: mixed(batch[key]) for key in ("strong", "weak") if key in batch}

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "alpha": self.alpha, "scenes": self.scenes}
