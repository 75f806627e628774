"""The host station: from an artifact to a report and a firmware folder, without TensorFlow or Keras.

`emulate` runs an artifact on real interpreters and holds it against a target's limits; `write_bundle` makes the
firmware folder of what passed.
"""
