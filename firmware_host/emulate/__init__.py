"""Runs an artifact on real interpreters and holds it against a target's limits."""

from keras_mtl.firmware_host.emulate.emulator import emulate

__all__ = ["emulate"]
