"""Runs an artifact on real interpreters and holds it against a target's limits."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.emulate.checks import arena_limit_bytes
    from keras_mtl.firmware_host.emulate.emulator import emulate
    from keras_mtl.firmware_host.emulate.inputs import random_inputs
    from keras_mtl.firmware_host.emulate.memory import arena_bytes as stream_arena_bytes
    from keras_mtl.firmware_host.emulate.memory import stream_memory
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["arena_limit_bytes", "emulate", "random_inputs", "stream_arena_bytes", "stream_memory"]
