"""`python -m keras_mtl` is the command `keras_mtl`."""

from keras_mtl.cli import main

main()
