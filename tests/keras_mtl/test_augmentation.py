"""The steps of the augmentation: what each does, recomputed in NumPy, its seed, and that off means off."""

import keras
import numpy as np
import pytest

from keras_mtl.algorithms import FreezeMTL, SingleTask, SoftMTL
from keras_mtl.algorithms.losses import scene_loss
from keras_mtl.augmentation import Augmentation, FilterAugment, FreqMixStyle, Masking, Mixup, TimeRoll
from keras_mtl.augmentation.seeded import Seeded
from keras_mtl.core import RecipeError
from keras_mtl.models import build_mt
from keras_mtl.recipes import AugmentSettings, load_recipe
from keras_mtl.training import same_bits

ALL = {"mixup_alpha": 0.5, "roll_frames": 40, "freq_mixstyle_probability": 0.8, "filter_gain": 0.3, "scenes": 10}
STEPS = [Mixup(0.4, 10, seed=3), TimeRoll(80, seed=3), Augmentation(**ALL, seed=3)]


@pytest.fixture
def random():
    keras.utils.set_random_seed(4)
    return np.random.default_rng(4)


def scenes(random, clips=8):
    log_mel = random.normal(size=(clips, 100, 128, 1)).astype(np.float32)
    return {"log_mel": log_mel, "scene": random.integers(0, 10, clips).astype(np.int32)}


def events(random, strong=4, weak=4, unlabelled=6):
    clips = strong + weak + unlabelled
    has_strong, has_weak = (np.repeat(flags, [strong, weak, unlabelled]) for flags in ([1, 0, 0], [0, 1, 0]))
    return {
        "log_mel": random.normal(size=(clips, 200, 128, 1)).astype(np.float32),
        "strong": ((random.random((clips, 50, 10)) < 0.2) * has_strong[:, None, None]).astype(np.float32),
        "weak": ((random.random((clips, 10)) < 0.4) * has_weak[:, None]).astype(np.float32),
        "has_strong": has_strong.astype(np.float32),
        "has_weak": has_weak.astype(np.float32),
    }


def numpy(batch):
    return {key: np.asarray(value) for key, value in batch.items()}


def same(first, second):
    assert set(first) == set(second)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], key)


def shares_of(log_mel):
    """The share of each clip in each mixture, where clip i was marked by ones in its frame i."""
    return log_mel[:, : len(log_mel), 0, 0]


def marked(batch):
    batch["log_mel"][:] = 0.0
    for i, clip in enumerate(batch["log_mel"]):
        clip[i] = 1.0
    return batch


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("make", [scenes, events])
def test_steps_apply_in_training_only_and_by_their_seed(step, make, random):
    batch = make(random)
    same(numpy(step(batch, training=False)), batch)
    first, second = (type(step).from_config(step.get_config()) for _ in range(2))
    drawn = numpy(first(batch, training=True))
    same(drawn, numpy(second(batch, training=True)))
    assert (drawn["log_mel"] != batch["log_mel"]).any()
    assert (np.asarray(first(batch, training=True)["log_mel"]) != drawn["log_mel"]).any(), "the next draw is another"
    other = type(step).from_config({**step.get_config(), "seed": 4})
    assert (np.asarray(other(batch, training=True)["log_mel"]) != drawn["log_mel"]).any()


def test_mixup_of_scenes_mixes_labels_in_the_shares_of_the_clips(random):
    batch = marked(scenes(random, 40))
    mixed = numpy(Mixup(1.0, 10, seed=1)(batch, training=True))
    shares = shares_of(mixed["log_mel"])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)
    assert ((shares > 0).sum(axis=1) <= 2).all()
    assert (np.diag(shares) >= 0.5).all(), "a clip keeps the larger part of itself"
    assert 0.7 < np.diag(shares).mean() < 0.8, "max(b, 1 - b) of a uniform b is 3/4 on average"
    np.testing.assert_allclose(mixed["log_mel"][..., 0], np.einsum("ij,jtf->itf", shares, batch["log_mel"][..., 0]))
    np.testing.assert_allclose(mixed["scene_shares"], shares @ np.eye(10)[batch["scene"]], atol=1e-6)
    np.testing.assert_array_equal(mixed["scene"], batch["scene"])


def test_mixup_of_events_stays_within_a_kind_and_labels_follow(random):
    batch = marked(events(random, 10, 12, 14))
    mixed = numpy(Mixup(1.0, 10, seed=1)(batch, training=True))
    shares = shares_of(mixed["log_mel"])
    kinds = 2 * batch["has_strong"] + batch["has_weak"]
    assert (shares[kinds[:, None] != kinds[None, :]] == 0).all()
    for kind in np.unique(kinds):
        assert (np.diag(shares)[kinds == kind] < 1).sum() > 5, "clips of each kind were mixed"
    np.testing.assert_allclose(mixed["strong"], np.einsum("ij,jtk->itk", shares, batch["strong"]), atol=1e-6)
    np.testing.assert_allclose(mixed["weak"], shares @ batch["weak"], atol=1e-6)
    for key in ("has_strong", "has_weak"):
        np.testing.assert_array_equal(mixed[key], batch[key])


def test_loss_of_shares_is_the_shares_of_the_losses(random):
    logits = random.normal(size=(6, 10)).astype(np.float32)
    first, second = random.integers(0, 10, (2, 6))
    shares = 0.3 * np.eye(10, dtype=np.float32)[first] + 0.7 * np.eye(10, dtype=np.float32)[second]
    expected = 0.3 * float(scene_loss(first, logits)) + 0.7 * float(scene_loss(second, logits))
    assert float(scene_loss(shares, logits)) == pytest.approx(expected, rel=1e-5)


def test_roll_moves_labels_with_the_features(random):
    batch = events(random, 20, 2, 2)
    rolled = numpy(TimeRoll(60, frames_per_embedding=4, seed=2)(batch, training=True))
    shifts = []
    for i in range(24):
        fits = [
            n for n in range(-15, 16) if (np.roll(batch["log_mel"][i], 4 * n, axis=0) == rolled["log_mel"][i]).all()
        ]
        assert len(fits) == 1
        np.testing.assert_array_equal(np.roll(batch["strong"][i], fits[0], axis=0), rolled["strong"][i])
        shifts += fits
    assert len(set(shifts)) > 8
    assert min(shifts) < 0 < max(shifts)
    np.testing.assert_array_equal(batch["weak"], rolled["weak"])


@pytest.mark.parametrize(("frames", "embeddings"), [(203, 50), (203, 51), (200, 49)])
def test_roll_leaves_what_fills_no_embedding(random, frames, embeddings):
    """Some networks drop frames at the end, others round up: the circle is what both grids share."""
    batch = events(random)
    batch["log_mel"] = random.normal(size=(14, frames, 8, 1)).astype(np.float32)
    batch["strong"] = random.normal(size=(14, embeddings, 10)).astype(np.float32)
    rolled, whole = numpy(TimeRoll(40, 4, seed=1)(batch, training=True)), min(50, embeddings)
    np.testing.assert_array_equal(rolled["log_mel"][:, 4 * whole :], batch["log_mel"][:, 4 * whole :])
    np.testing.assert_array_equal(rolled["strong"][:, whole:], batch["strong"][:, whole:])
    for i in range(14):
        (n,) = [
            n
            for n in range(-10, 11)
            if (np.roll(batch["log_mel"][i, : 4 * whole], 4 * n, axis=0) == rolled["log_mel"][i, : 4 * whole]).all()
        ]
        np.testing.assert_array_equal(np.roll(batch["strong"][i, :whole], n, axis=0), rolled["strong"][i, :whole])


def test_roll_of_scenes_is_by_any_number_of_frames(random):
    batch = scenes(random, 20)
    rolled = numpy(TimeRoll(10, seed=2)(batch, training=True))
    shifts = [
        next(n for n in range(-10, 11) if (np.roll(before, n, axis=0) == after).all())
        for before, after in zip(batch["log_mel"], rolled["log_mel"], strict=True)
    ]
    assert {n % 4 for n in shifts} == {0, 1, 2, 3}
    np.testing.assert_array_equal(batch["scene"], rolled["scene"])


def test_freq_mixstyle_against_numpy(random):
    x = (random.normal(size=(8, 50, 128, 1)) * random.uniform(0.5, 2, (8, 1, 128, 1))).astype(np.float32)
    x += random.normal(size=(8, 1, 128, 1)).astype(np.float32)
    mixed = np.asarray(FreqMixStyle(1.0, alpha=0.4, seed=5)(x, training=True))
    draws = Seeded(seed=5)
    keras.random.uniform((), seed=draws._seeds)
    partner = np.asarray(draws.permutation(8))
    share = np.asarray(draws.beta(8, 0.4))[:, None, None, None]
    assert sorted(partner) == list(range(8))
    mean, deviation = x.mean(axis=1, keepdims=True), np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
    new_mean = share * mean + (1 - share) * mean[partner]
    new_deviation = share * deviation + (1 - share) * deviation[partner]
    np.testing.assert_allclose(mixed, (x - mean) / deviation * new_deviation + new_mean, atol=2e-5)
    np.testing.assert_allclose(mixed.mean(axis=1), new_mean[:, 0], atol=2e-5)


def test_freq_mixstyle_mixes_its_part_of_the_batches(random):
    x = random.normal(size=(4, 20, 8, 1)).astype(np.float32)
    step = FreqMixStyle(0.3, seed=1)
    mixed = [bool((np.asarray(step(x, training=True)) != x).any()) for _ in range(200)]
    assert 0.2 < np.mean(mixed) < 0.4
    np.testing.assert_array_equal(FreqMixStyle(0.0)(x, training=True), x)


def test_filter_augment_against_numpy(random):
    x = random.normal(size=(40, 6, 128, 1)).astype(np.float32)
    gains = np.asarray(FilterAugment(0.5, seed=4)(x, training=True)) - x
    draws = Seeded(seed=4)
    parts = np.asarray(keras.random.randint((40, 1), 3, 7, seed=draws._seeds))[:, 0]
    cuts = np.asarray(keras.random.uniform((40, 5), seed=draws._seeds))
    ends = np.asarray(keras.random.uniform((40, 7), -0.5, 0.5, seed=draws._seeds))
    assert set(parts) == {3, 4, 5, 6}
    for gain, count, cut, end in zip(gains[..., 0], parts, cuts, ends, strict=True):
        at = [0.0, *sorted(cut[: count - 1]), 1.0]
        if min(np.diff(at)) > 1e-3:
            expected = np.interp(np.linspace(0, 1, 128), at, end[: count + 1])
            np.testing.assert_allclose(gain, np.tile(expected, (6, 1)), atol=1e-4)
    assert np.abs(gains).max() <= 0.5 + 1e-5
    np.testing.assert_array_equal(FilterAugment(0.5)(x), x)


def test_the_teacher_hears_what_the_labels_belong_to(random):
    """Rolled and mixed like the student's clips, without the other colour."""
    batch = marked(events(random))
    augment = Augmentation(**ALL, seed=2)
    followed = Augmentation(**(ALL | {"freq_mixstyle_probability": 0.0, "filter_gain": 0.0}), seed=2)
    heard, expected = (numpy(layer(batch, training=True)) for layer in (augment, followed))
    np.testing.assert_array_equal(heard["teacher_log_mel"], expected["log_mel"])
    assert (heard["log_mel"] != heard["teacher_log_mel"]).any()
    for key in ("strong", "weak", "has_strong", "has_weak"):
        np.testing.assert_array_equal(heard[key], expected[key])
    assert "teacher_log_mel" not in expected


def test_steps_compose_in_order(random):
    """Roll, then mixup, then Freq-MixStyle, then FilterAugment, each with a seed of its own."""
    batch = events(random)
    augment = Augmentation(**ALL, seed=6)
    expected = Mixup(0.5, 10, seed=6 + 1002)(TimeRoll(40, seed=6 + 1001)(batch, training=True), training=True)
    drawn = numpy(augment(batch, training=True))
    np.testing.assert_array_equal(drawn["teacher_log_mel"], expected["log_mel"])
    np.testing.assert_array_equal(drawn["strong"], expected["strong"])
    coloured = FreqMixStyle(0.8, seed=6 + 1003)(expected["log_mel"], training=True)
    np.testing.assert_array_equal(drawn["log_mel"], FilterAugment(0.3, seed=6 + 1004)(coloured, training=True))


def small_network():
    return build_mt(channels=(4, 6), pools=((2, 8), (2, 4)), attention_units=4, recurrent_units=6, scenes=10, events=10)


def compiled(model):
    model.compile(optimizer=keras.optimizers.AdamW(1e-2), run_eagerly=True)
    model.optimizer.build(model.trained_variables())
    return model


def bits(model):
    return [weight.numpy().tobytes() for weight in (*model.network.weights, *model.teacher.weights)]


def trained(model, random, steps=2):
    with same_bits():
        for _ in range(steps):
            model.train_on_batch({"scenes": scenes(random), "events": events(random)})
    return bits(model)


def soft(augment=None):
    keras.utils.set_random_seed(0)
    return compiled(SoftMTL(small_network(), seed=1, augment=augment))


@pytest.mark.slow
def test_off_is_off_to_the_bit():
    """With the defaults a training is what it is without the hook."""
    without = soft()
    without.augment = lambda batch, training: batch
    expected = trained(without, np.random.default_rng(0))
    assert trained(soft(), np.random.default_rng(0)) == expected
    assert trained(soft(Augmentation.of(AugmentSettings(), 100, 4, 10, 1)), np.random.default_rng(0)) == expected
    assert trained(soft(Augmentation(**ALL)), np.random.default_rng(0)) != expected


@pytest.mark.slow
def test_a_training_taken_up_goes_on_with_the_same_draws(tmp_path):
    whole = soft(Augmentation(**ALL, seed=1))
    random = np.random.default_rng(3)
    trained(whole, random)
    whole.save_weights(tmp_path / "last.weights.h5")
    state = random.bit_generator.state
    expected = trained(whole, random)
    again = soft(Augmentation(**ALL, seed=1))
    again.load_weights(tmp_path / "last.weights.h5")
    random.bit_generator.state = state
    assert trained(again, random) == expected


@pytest.mark.parametrize("algorithm", [SingleTask, FreezeMTL])
def test_algorithms_keep_their_augmentation(algorithm, random):
    model = compiled(algorithm(small_network(), task="scenes", augment=Augmentation(**ALL, seed=9)))
    again = algorithm.from_config(model.get_config())
    assert again.augment.get_config() == model.augment.get_config()
    loss = model.train_on_batch({"scenes": scenes(random)}, return_dict=True)
    assert np.isfinite(loss["loss"])


def test_settings_become_steps():
    settings = load_recipe(
        "mt",
        ["mixup_alpha=0.2", "roll_s=0.5", "freq_mixstyle_probability=0.7", "freq_mixstyle_alpha=0.3", "filter_db=6"],
    ).augment
    augment = Augmentation.of(settings, frame_rate=100, frames_per_embedding=4, scenes=10, seed=7, std_db=12.0)
    assert augment.get_config() | {"name": "", "dtype": ""} == {
        **augment.get_config(),
        "mixup_alpha": 0.2,
        "roll_frames": 50,
        "frames_per_embedding": 4,
        "freq_mixstyle_probability": 0.7,
        "freq_mixstyle_alpha": 0.3,
        "filter_gain": 0.5,
        "scenes": 10,
        "seed": 7,
        "name": "",
        "dtype": "",
    }
    assert not any(getattr(load_recipe(name).augment, key) for name in ("paper", "mt") for key in OFF)


OFF = ("mixup_alpha", "roll_s", "filter_db", "freq_mixstyle_probability", "ir_folder", "ir_probability")


@pytest.mark.parametrize(
    "bad",
    ["freq_mixstyle_probability=1.5", "ir_probability=2", "ir_copies=0", "mixup_alpha=-1", "freq_mixstyle_alpha=0"],
)
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(RecipeError, match=bad.partition("=")[0]):
        load_recipe("mt", [bad])


def test_steps_refuse_what_they_cannot_do():
    for make in (
        lambda: Mixup(-0.1),
        lambda: FreqMixStyle(1.1),
        lambda: FilterAugment(-1.0),
        lambda: FreqMixStyle(0.5, alpha=0.0),
    ):
        with pytest.raises(ValueError, match=r"negative|not in|not above"):
            make()
    assert isinstance(Masking(), Seeded)
