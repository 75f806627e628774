"""Data sets: readers of users' folders and the embedded sounds, as TFDS builders.

`corpus.open_corpus` opens both kinds for training and evaluation; `audio_files.read_audio` reads one recording.
Importing this package loads neither TensorFlow nor TFDS; its modules do.
"""
