"""TFDS's own test of the builder, on `dummy_data/`: registered, documented, prepared, read back."""

from __future__ import annotations

import tensorflow_datasets as tfds

from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)


class TauUrbanAcousticScenes2022MobileTest(tfds.testing.DatasetBuilderTestCase):
    """Every split; one clip that the tables name is missing on purpose."""

    DATASET_CLASS = tau.Builder
    SPLITS = {"train": 4, "test": 2, "evaluate": 2, "split5": 1, "split10": 2, "split25": 3, "split50": 4}  # noqa: RUF012
    OVERLAPPING_SPLITS = ["train", "evaluate", "split10", "split25", "split50"]  # noqa: RUF012


if __name__ == "__main__":
    tfds.testing.test_main()
