"""The stride of a network read off its encoder, and the time axis that evaluation and prediction build on it.

The networks here are real ones with weights set by hand: an embedding is loud where the frames in its middle are.
"""

import itertools

import keras
import numpy as np
import pytest
import soundfile

from keras_mtl.core import DCASE, LogMelSettings, RecipeError
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode
from keras_mtl.features import EventSet
from keras_mtl.inference import Predictor, network_predictor, predict
from keras_mtl.inference.windows import WindowPlan
from keras_mtl.models import build_encoder, build_mt, embeddings_of, frames_per_embedding
from keras_mtl.training import EventStream

PLAIN = LogMelSettings(mean_db=-17.0, std_db=10.0)
BASELINE_SED = LogMelSettings(hop=256, keep_last_frame=True, mean_db=-17.0, std_db=10.0)


def network_of(layers, frames=None, mel_bands=128):
    """Layers from [batch, frames, 1, 1] on; an event head that is loud above the mean level."""
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = keras.layers.AveragePooling2D((1, mel_bands))(inputs)
    for layer in layers:
        x = layer(x)
    encoder = keras.Model(inputs, keras.layers.Reshape((x.shape[1] or -1, 1))(x), name="encoder")
    given = keras.Input((None, 1))
    loud = keras.layers.Dense(10, "sigmoid", kernel_initializer="ones", bias_initializer="zeros")(given)
    head = keras.Model(given, {"strong": loud, "weak": keras.layers.GlobalMaxPooling1D()(loud)}, name="event_head")
    return keras.Model(inputs, head(encoder(inputs)), name="by_hand")


def strided(frames=None):
    """Stride 16 by four convolutions as of `cp_mobile_rnn`; each takes the middle one of its three frames."""
    middle = np.array([0.0, 1.0, 0.0]).reshape(3, 1, 1, 1)
    convolutions = [
        keras.layers.Conv2D(1, (3, 1), strides=(2, 1), padding="same", kernel_initializer=lambda *_, **__: middle)
        for _ in range(4)
    ]
    return network_of(convolutions, frames)


def pooled(frames=None):
    """Stride 4 by two average pools as of `baseline_sed`."""
    return network_of([keras.layers.AveragePooling2D((2, 1)) for _ in range(2)], frames)


@pytest.mark.parametrize(
    ("network", "stride", "counts"),
    [
        (lambda: build_mt(scenes=10, events=10), 4, {100: 25, 1000: 250, 626: 156}),
        (strided, 16, {1000: 63, 992: 62, 24: 2}),
        (pooled, 4, {626: 156, 625: 156, 1000: 250}),
        (lambda: network_of([keras.layers.Conv2D(1, (5, 1), strides=(11, 1), padding="same")]), 11, {1000: 91}),
    ],
)
def test_stride_and_embeddings_are_the_encoders(network, stride, counts):
    network = network()
    assert frames_per_embedding(network) == stride
    for frames, embeddings in counts.items():
        assert embeddings_of(network, frames) == embeddings
        found = network.get_layer("encoder")(np.zeros((1, frames, 128, 1), np.float32))
        assert found.shape[1] == embeddings


def test_encoders_of_a_fixed_length():
    assert frames_per_embedding(build_mt(1000, scenes=10, events=10)) == 4
    network = strided(1000)
    assert (frames_per_embedding(network), embeddings_of(network, 1000)) == (16, 63)
    with pytest.raises(RecipeError, match="by_hand is built for 1000 frames, not for 992"):
        embeddings_of(network, 992)


def test_networks_without_a_sequence_are_refused():
    inputs = keras.Input((65, 256, 1))
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="encoder")
    scenes_only = keras.Model(inputs, keras.layers.Dense(10, name="scene_head")(encoder(inputs)), name="scenes_only")
    with pytest.raises(RecipeError, match="no sequence of embeddings"):
        frames_per_embedding(scenes_only)
    assert network_predictor(scenes_only, PLAIN, DecodeSettings(), DCASE, ["scenes"]).event_probabilities is None
    with pytest.raises(RecipeError, match="no layer named encoder"):
        frames_per_embedding(build_encoder())


def test_windows_keep_the_time_axis():
    def windows(frames, length, stride):
        return [tuple(window) for window in WindowPlan(length, stride).windows(frames)]

    assert windows(1000, 1000, 4) == [(0, 1000)]
    assert windows(1001, 1000, 4) == [(0, 1000), (4, 1000)]
    assert windows(2530, 1000, 4) == [(0, 1000), (500, 1000), (1000, 1000), (1500, 1000), (1532, 1000)]
    assert windows(625, 626, 4) == [(0, 626)]
    assert windows(1000, 1000, 16) == [(0, 1000)]
    assert windows(1100, 1000, 16) == [(0, 1000), (112, 1000)]
    assert windows(10, 1000, 16) == [(0, 24)]
    assert WindowPlan(1000, 16, fixed=True).windows(10) == [(0, 1000)]
    for length, stride in ((1000, 4), (626, 4), (1000, 16), (501, 3)):
        for frames in range(1, 2600, 7):
            found = windows(frames, length, stride)
            assert all((first % stride, (size - length) % stride) == (0, 0) for first, size in found)
            for (first, size), (following, _) in itertools.pairwise(found):
                assert first < following <= first + size // 2
            first, size = found[-1]
            assert size <= length
            assert frames <= first + size < frames + 2 * stride or len(found) == 1


def bursts(settings, shift, seconds, starts_s, length_s):
    """Noise in silence; the bursts begin and end at these times and `shift` samples later: (audio, times in s)."""
    random, rate = np.random.default_rng(shift), settings.sample_rate_hz
    audio = random.normal(0, 1e-4, seconds * rate).astype(np.float32)
    times = []
    for start_s in starts_s:
        first, last = round(start_s * rate) + shift, round((start_s + length_s) * rate) + shift
        audio[first:last] = random.normal(0, 0.1, last - first)
        times.append((first / rate, last / rate))
    return audio, np.asarray(times)


@pytest.mark.parametrize(
    ("settings", "network", "own_frames"),
    [(PLAIN, pooled, 0), (BASELINE_SED, pooled, 0), (PLAIN, strided, 0.5), (BASELINE_SED, strided, 6.5)],
    ids=["usual", "hop_256", "stride_16", "hop_256_stride_16"],
)
def test_events_carry_no_shift_in_any_window(settings, network, own_frames, tmp_path):
    """Bursts in the first, second and third window of a recording, and in windows of any length.

    `own_frames`: how much earlier than the middle of its 16 frames the one lies that the convolutions pick in a clip of
    ten seconds, padded by parity: frame 16k + 7 of 1000, 16k + 1 of 626. A network learns to hear past that; what
    matters is that it is the same in every window.
    """
    predictor = network_predictor(network(), settings, DecodeSettings(median_s=0.01), DCASE, ["events"])
    stride = predictor.frames_per_embedding * settings.hop
    errors_s = []
    for phase in range(16):  # over a whole stride
        audio, times = bursts(settings, phase * stride // 16, 24, (2.0, 6.0, 12.0, 16.0, 20.9, 22.3), 1.0)
        seconds = 23.5 + 0.03 * phase
        soundfile.write(tmp_path / "a.wav", audio[: round(seconds * settings.sample_rate_hz)], 16_000, subtype="FLOAT")
        prediction = predict(predictor, tmp_path / "a.wav")
        found = np.asarray([(e.onset_s, e.offset_s) for e, _ in prediction.events if e.label == DCASE.events[0]])
        assert found.shape == (6, 2)
        errors_s.append(found - times)
    errors_s = np.asarray(errors_s)
    # The window smears both ends outwards by the same amount, so it drops out of the mean of the two errors.
    shifts_s = errors_s.mean(axis=(0, 2))
    assert np.abs(shifts_s - own_frames * settings.hop_s).max() < 0.3 * settings.hop_s


@pytest.mark.parametrize("network", [pooled, strided])
def test_a_clip_is_predicted_as_it_is_evaluated(network, tmp_path):
    from keras_mtl.features import LogMel

    settings = BASELINE_SED if network is pooled else PLAIN
    for built in (network(), network(settings.frames(160_000))):
        predictor = network_predictor(built, settings, DecodeSettings(), DCASE, ["events"])
        audio, _ = bursts(settings, 0, 10, (2.0, 6.0), 1.0)
        soundfile.write(tmp_path / "a.wav", audio, 16_000, subtype="FLOAT")
        expected, _ = predictor.event_probabilities(LogMel(settings)(audio[None]))
        prediction = predict(predictor, tmp_path / "a.wav")
        np.testing.assert_allclose(prediction.probabilities, expected[0], atol=1e-5)
        grid = Grid.over(settings, settings.frames(160_000), predictor.frames_per_embedding, expected.shape[1])
        np.testing.assert_allclose(prediction.grid.boundaries_s(), grid.boundaries_s())
    soundfile.write(tmp_path / "a.wav", np.tile(audio, 2)[: 16_000 * 13], 16_000, subtype="FLOAT")
    count = int(13 / predictor.settings.hop_s / predictor.frames_per_embedding)
    assert len(predict(predictor, tmp_path / "a.wav").probabilities) in (count, count + 1)


@pytest.mark.parametrize(
    ("settings", "frames", "stride", "count", "last_s"),
    [(PLAIN, 1000, 16, 63, 9.915), (BASELINE_SED, 626, 4, 156, 9.912), (PLAIN, 996, 16, 63, 9.915)],
)
def test_grids_of_any_count_end_with_the_clip(settings, frames, stride, count, last_s):
    grid = Grid.over(settings, frames, stride, count)
    edges = grid.boundaries_s()
    assert len(edges) == count + 1
    assert (edges[0], edges[-1]) == (0.0, settings.seconds(frames))
    assert edges[-2] == pytest.approx(last_s)
    assert (np.diff(edges) > 0).all()
    to_the_end = grid.targets([Event(5.0, settings.seconds(frames), "Dog")], DCASE.events)
    ((event, _),) = decode(to_the_end, grid, DCASE.events, DecodeSettings(median_s=0.01))
    assert event.offset_s == settings.seconds(frames)
    shifts_s = []
    for phase in np.linspace(0, grid.step_s, 33)[:-1]:
        truth = Event(2.0 + phase, 4.3 + phase, "Dog")
        ((event, _),) = decode(grid.targets([truth], DCASE.events), grid, DCASE.events, DecodeSettings(median_s=0.01))
        assert abs(event.onset_s - truth.onset_s) <= grid.step_s / 2 + 1e-9
        shifts_s += [event.onset_s - truth.onset_s, event.offset_s - truth.offset_s]
    assert abs(np.mean(shifts_s)) < grid.step_s / 30


def test_targets_have_the_networks_number_of_embeddings():
    text = np.asarray(["a", "b"])
    clips = EventSet(np.zeros((2, 1000, 128), np.float16), [[Event(1.0, 2.0, "Dog")]] * 2, np.zeros((2, 10)), text)
    network = strided()
    stream = EventStream(
        {"strong": clips},
        {"strong": 2},
        PLAIN,
        DCASE.events,
        frames_per_embedding(network),
        0,
        embeddings_of(network, 1000),
    )
    assert stream(0)["strong"].shape == (2, 63, 10)
    assert stream(0)["strong"][0, :, DCASE.events.index("Dog")].nonzero()[0].tolist() == [6, 7, 8, 9, 10, 11, 12]


def test_scenes_only_listeners_need_no_stride(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16_000)
    predictor = Predictor(BASELINE_SED, lambda levels: np.zeros((len(levels), 10)))
    prediction = predict(predictor, tmp_path / "a.wav")
    assert prediction.probabilities is None
    assert prediction.log_mel.shape == (32, 128)
