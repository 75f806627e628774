"""Changes to a `.tflite` file that the converter does not make, one a module (no TensorFlow here)."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.patch.concatenation import concatenate_sums
    from keras_mtl.tflite.patch.int16x8 import COARSE_LEVELS, patch_int16x8
    from keras_mtl.tflite.patch.loop_starts import fill_loop_starts
    from keras_mtl.tflite.patch.matmul import transpose_before_matmul
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["COARSE_LEVELS", "concatenate_sums", "fill_loop_starts", "patch_int16x8", "transpose_before_matmul"]
