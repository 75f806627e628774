"""TFDS's own test of the builder, on `dummy_data/`: registered, documented, prepared, read back."""

from __future__ import annotations

import tensorflow_datasets as tfds

from keras_mtl.datasets.desed import desed_dataset_builder


class DesedTest(tfds.testing.DatasetBuilderTestCase):
    """Every split; what the tables name beyond that is missing on purpose."""

    DATASET_CLASS = desed_dataset_builder.Builder
    SPLITS = {  # noqa: RUF012 (as TFDS declares it)
        "strong_real": 1,
        "strong_synthetic": 1,
        "synthetic_validation": 1,
        "weak": 1,
        "unlabelled": 1,
        "validation": 2,
    }


if __name__ == "__main__":
    tfds.testing.test_main()
