"""Settings of a training of both tasks that takes seconds, as `--set` takes them; a later one wins."""

#: A network of few weights.
LITTLE_NETWORK = "model.options={channels=[2,4], pools=[[2,8],[2,8]], recurrent_units=4}"
LITTLE = (
    "algorithm=soft",
    "train.epochs=1",
    "scene_batch=16",
    "strong_batch=4",
    "weak_batch=2",
    "unlabelled_batch=0",
    LITTLE_NETWORK,
)
