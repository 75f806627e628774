"""Audio understanding for microcontrollers: acoustic scenes and sound events from one compact network.

Importing the package loads neither TensorFlow nor Keras: the host part (`keras_mtl.firmware_host`) works without them.
"""

import os

# TensorFlow's own depthwise convolution refuses unequal strides (`cp_mobile` has them); oneDNN's takes them. TensorFlow
# switches oneDNN on by itself only on processors with AVX-512, and reads this variable when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"
