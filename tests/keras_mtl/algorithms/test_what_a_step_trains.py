"""What a step of each algorithm updates, and that everything else keeps every bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import (
    ALGORITHMS,
    CrossHardMTL,
    CrossSoftMTL,
    Distiller,
    FreezeMTL,
    GradNormMTL,
    HardMTL,
    PartialAdamW,
    PCGradMTL,
    SingleTask,
    SoftMTL,
    UncertaintyMTL,
)
from keras_mtl.core import RecipeError
from keras_mtl.recipes import TrainSettings
from keras_mtl.training import as_dataset
from keras_mtl.training.batches import take_turns

TWO_TASKS = [SoftMTL, HardMTL, CrossSoftMTL, CrossHardMTL, UncertaintyMTL, GradNormMTL, PCGradMTL]


@pytest.mark.parametrize("steps_before", [0, 1, 2])
def test_hard_leaves_the_other_decoder_alone(little, random, steps_before):
    """Weights, batch statistics and moments, also when earlier steps have filled the moments."""
    model = little.compiled(HardMTL(little.network()))
    for _ in range(steps_before):
        model.train_on_batch(little.both(random))
    turn, idle = ("scene_head", "event_head") if steps_before % 2 == 0 else ("event_head", "scene_head")
    turn, idle = model.network.get_layer(turn), model.network.get_layer(idle)
    before, before_moments, trained = little.bits(idle), little.moments(model, idle), little.bits(turn)
    encoder, encoder_moments = little.bits(model.encoder), little.moments(model, model.encoder)
    own_moments = little.moments(model, turn)
    model.train_on_batch(little.both(random))
    assert little.bits(idle) == before
    assert little.moments(model, idle) == before_moments
    for old, new in (
        (trained, little.bits(turn)),
        (encoder, little.bits(model.encoder)),
        (encoder_moments, little.moments(model, model.encoder)),
        (own_moments, little.moments(model, turn)),
    ):
        assert all(a != b for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize("task", ["scenes", "events"])
@pytest.mark.parametrize("algorithm", [SingleTask, FreezeMTL])
def test_one_task_leaves_the_rest_alone(little, random, algorithm, task):
    model = little.compiled(algorithm(little.network(), task=task))
    idle = model.network.get_layer("event_head" if task == "scenes" else "scene_head")
    head = model.heads[task]
    before, encoder, trained = little.bits(idle), little.bits(model.encoder), little.bits(head)
    for _ in range(3):
        model.train_on_batch(little.both(random))
    assert little.bits(idle) == before
    assert (little.bits(model.encoder) == encoder) == (algorithm is FreezeMTL), "statistics included"
    assert all(a != b for a, b in zip(trained, little.bits(head), strict=True))


@pytest.mark.parametrize("algorithm", [a for a in TWO_TASKS if a is not HardMTL])
def test_the_others_train_everything_in_every_step(little, random, algorithm):
    model = little.compiled(algorithm(little.network()))
    for _ in range(2):
        before = little.bits(model.network)
        model.train_on_batch(little.both(random))
        assert all(a != b for a, b in zip(before, little.bits(model.network), strict=True))


@pytest.mark.parametrize("algorithm", [SingleTask, *TWO_TASKS])
def test_a_frozen_encoder_keeps_every_bit(little, random, algorithm):
    """With every algorithm, statistics included, and it has no moments; the decoders learn."""
    model = little.compiled(algorithm(little.network(), encoder_rate=0.0))
    encoder, heads = little.bits(model.encoder), [little.bits(head) for head in model.heads.values()]
    for _ in range(2):
        logs = model.train_on_batch(little.both(random), return_dict=True)
    assert little.bits(model.encoder) == encoder
    for before, head in zip(heads, model.heads.values(), strict=True):
        assert all(a != b for a, b in zip(before, little.bits(head), strict=True))
    trained = {id(variable) for variable in model.optimizer._trainable_variables}
    assert not trained & {id(variable) for variable in model.encoder.variables}
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("algorithm", [SoftMTL, HardMTL, PCGradMTL])
def test_a_slower_encoder_goes_a_part_of_the_way(little, random, algorithm):
    """AdamW's first step is linear in the rate, its decay too; the decoders do not notice."""
    batch, ends = little.both(random), []
    for rate in (1.0, 0.25):
        keras.utils.set_random_seed(5)
        model = little.compiled(algorithm(little.network(), encoder_rate=rate), decay=0.5)
        start = [variable.numpy() for variable in model.encoder.trainable_variables]
        model.train_on_batch(batch)
        moved = [v.numpy() - s for v, s in zip(model.encoder.trainable_variables, start, strict=True)]
        ends.append((moved, [little.bits(head) for head in model.heads.values()]))
    for whole, part in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_allclose(part, 0.25 * whole, rtol=1e-3, atol=1e-7)
    assert max(np.abs(whole).max() for whole in ends[0][0]) > 5e-3
    assert ends[0][1] == ends[1][1]


def test_a_slower_encoder_wants_an_optimiser_that_can(little, random):
    model = SoftMTL(little.network(), encoder_rate=0.5)
    with pytest.raises(ValueError, match="has to be PartialAdamW"):
        model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    model.compile(optimizer=keras.optimizers.LossScaleOptimizer(PartialAdamW(1e-3)), jit_compile=False)
    model.optimizer.build(model.trained_variables())
    assert np.isfinite(model.train_on_batch(little.both(random), return_dict=True)["loss"])
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match="is not in"):
            SoftMTL(little.network(), encoder_rate=rate)


@pytest.mark.parametrize(
    "algorithm", [HardMTL, pytest.param(CrossHardMTL, marks=pytest.mark.slow), GradNormMTL, UncertaintyMTL]
)
def test_a_resumed_training_ends_as_an_uninterrupted_one(little, random, algorithm, tmp_path):
    """After an odd number of steps: the turn, masks and dropout, and what an algorithm learns beside the network."""
    batches = [little.both(random) for _ in range(3)]

    def fresh():
        keras.utils.set_random_seed(3)
        return little.compiled(algorithm(little.network(), seed=3))

    whole, half = fresh(), fresh()
    for batch in batches:
        whole.train_on_batch(batch)
    half.train_on_batch(batches[0])
    half.save_weights(tmp_path / "half.weights.h5")
    resumed = fresh()
    resumed.load_weights(tmp_path / "half.weights.h5")
    idle = little.bits(resumed.network.get_layer("scene_head"))
    resumed.train_on_batch(batches[1])
    if algorithm is HardMTL:
        assert little.bits(resumed.network.get_layer("scene_head")) == idle, "step 1 is the events'"
    resumed.train_on_batch(batches[2])
    assert int(resumed.steps_done.numpy()) == 3
    assert little.bits(resumed) == little.bits(whole)


def test_turns_are_traced_once_and_fed_with_one_task_each(little, random):
    """The streams give no clips of the other task, and the step is one graph."""
    model = little.compiled(HardMTL(little.network()), eager=False)
    traces = []
    update = model.update
    model.update = lambda batch: (traces.append(1), update(batch))[1]
    scenes, events = (
        [make(random) for _ in range(n)] for make, n in ((little.scene_batch, 3), (little.event_batch, 2))
    )

    class Repeated:
        def __init__(self, batches):
            self.batches, self.steps = batches, len(batches)

        def __call__(self, step):
            return self.batches[step % len(self.batches)]

    streams = take_turns({"scenes": Repeated(scenes), "events": Repeated(events)})
    assert {task: stream.steps for task, stream in streams.items()} == {"scenes": 6, "events": 4}
    dataset = as_dataset(streams, 0, 6)
    sizes = [(len(b["scenes"]["log_mel"]), len(b["events"]["log_mel"])) for b in dataset.as_numpy_iterator()]
    assert sizes == [(6, 0), (0, 7)] * 3
    seen = [b["events"]["log_mel"] for b in dataset.as_numpy_iterator()][1::2]
    for batch, expected in zip(seen, [events[0], events[1], events[0]], strict=True):
        np.testing.assert_array_equal(batch, expected["log_mel"])
    history = model.fit(dataset, epochs=1, steps_per_epoch=6, verbose=0, shuffle=False)
    assert traces == [1]
    assert int(model.steps_done.numpy()) == 6
    losses = [values[0] for name, values in history.history.items() if name != "scene_accuracy"]
    assert len(losses) == 5
    assert all(np.isfinite(loss) and loss > 0 for loss in losses)


def test_partial_optimiser_corrects_by_a_variables_own_updates(random):
    """A variable that is updated in every third step ends where plain AdamW over those steps alone ends."""
    gradients = [random.normal(size=4).astype(np.float32) for _ in range(5)]
    start = random.normal(size=4).astype(np.float32)
    seldom, always, alone = (keras.Variable(start) for _ in range(3))
    partial, plain = PartialAdamW(0.01, weight_decay=0.1), keras.optimizers.AdamW(0.01, weight_decay=0.1)
    partial.build([always, seldom])
    plain.build([alone])
    for gradient in gradients:
        for _ in range(2):
            partial.apply([tf.ones(4)], [always])
        partial.apply([tf.ones(4), tf.constant(gradient)], [always, seldom])
        plain.apply([tf.constant(gradient)], [alone])
    np.testing.assert_allclose(seldom.numpy(), alone.numpy(), rtol=1e-5)
    assert partial._updates.numpy().tolist() == [15, 5]
    again = PartialAdamW.from_config(partial.get_config())
    assert again.get_config() == partial.get_config()


def test_partial_optimiser_gives_some_variables_a_part_of_the_rate(random):
    """Rate and decay of a plain AdamW with that rate; a part of 1 changes no bit."""
    gradients = [random.normal(size=4).astype(np.float32) for _ in range(4)]
    start = random.normal(size=4).astype(np.float32)
    ends = {}
    for factor in (0.25, 1.0):
        slow, usual, alone, plain = (keras.Variable(start) for _ in range(4))
        ours, theirs, other = (
            cls(rate, weight_decay=0.1)
            for cls, rate in ((PartialAdamW, 0.01), (keras.optimizers.AdamW, 0.01 * factor), (PartialAdamW, 0.01))
        )
        ours.slow_down([slow], factor)
        ours.build([usual, slow])
        theirs.build([alone])
        other.build([plain])
        for gradient in map(tf.constant, gradients):
            ours.apply([gradient, gradient], [usual, slow])
            theirs.apply([gradient], [alone])
            other.apply([gradient], [plain])
        np.testing.assert_allclose(slow.numpy(), alone.numpy(), rtol=1e-6)
        assert usual.numpy().tobytes() == plain.numpy().tobytes()
        ends[factor] = slow.numpy().tobytes()
        assert ours.weight_decay == 0.1
    assert ends[1.0] == plain.numpy().tobytes() != ends[0.25]


def test_partial_optimiser_is_adamw_where_everything_is_updated(random):
    start = random.normal(size=4).astype(np.float32)
    ours, theirs = keras.Variable(start), keras.Variable(start)
    pairs = ((PartialAdamW(0.01, weight_decay=0.1), ours), (keras.optimizers.AdamW(0.01, weight_decay=0.1), theirs))
    for optimizer, variable in pairs:
        optimizer.build([variable])
    for _ in range(4):
        gradient = tf.constant(random.normal(size=4).astype(np.float32))
        for optimizer, variable in pairs:
            optimizer.apply([gradient], [variable])
    assert ours.numpy().tobytes() == theirs.numpy().tobytes()


@pytest.mark.parametrize("algorithm", [SingleTask, FreezeMTL, *TWO_TASKS])
def test_arguments_are_kept(little, algorithm):
    extra = {
        SingleTask: {"task": "scenes"},
        FreezeMTL: {"task": "events"},
        SoftMTL: {"alpha": 0.3},
        CrossSoftMTL: {"alpha": 0.3, "cross_weight": 0.7},
        CrossHardMTL: {"cross_weight": 0.7},
        GradNormMTL: {"gradnorm_alpha": 0.4, "gradnorm_rate": 0.1},
        PCGradMTL: {"alpha": 0.2},
    }.get(algorithm, {})
    distiller = Distiller(little.network(), ("scenes",), weight=0.3, temperature=3.0, scale=2.0, shift=1.0)
    model = algorithm(
        little.network(),
        consistency_weight=1.5,
        ramp_steps=9,
        mask_fraction=0.2,
        distiller=distiller,
        encoder_rate=0.5,
        seed=3,
        **extra,
    )
    config, other = model.get_config(), algorithm.from_config(model.get_config()).get_config()
    assert set(extra) <= set(config)
    for one in (config, other):
        one.pop("network")
        one["distiller"]["config"].pop("network")
    assert other == config


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_row_of_the_registry_wraps_a_network(little, name):
    settings = TrainSettings(epochs=3, second_epochs=7, alpha=0.25, cross_weight=0.5, gradnorm_alpha=0.1)
    for phase in ALGORITHMS[name](settings):
        model = phase.wrap(little.network(), ramp_steps=4)
        assert model.tasks == phase.tasks
        for key in ("alpha", "cross_weight", "gradnorm_alpha"):
            assert getattr(model, key, getattr(settings, key)) == getattr(settings, key)
        assert phase.turns == isinstance(model, HardMTL)


@pytest.mark.parametrize("algorithm", TWO_TASKS)
def test_a_network_with_one_decoder_is_refused_by_two_task_algorithms(little, algorithm):
    with pytest.raises(RecipeError, match=r"'cnn' has no decoder for events.*algorithm=single with task=scenes"):
        algorithm(little.network(("scene_head",), name="cnn"))


def test_a_network_with_one_decoder_trains_alone(little, random):
    for decoder, task in (("scene_head", "scenes"), ("event_head", "events")):
        model = little.compiled(SingleTask(little.network((decoder,)), task=task))
        assert model.train_on_batch(little.both(random), return_dict=True)["loss"] > 0
