"""Audio understanding for microcontrollers: acoustic scenes and sound events from one compact network.

Importing the package loads neither TensorFlow nor Keras: the host part (`keras_mtl.firmware_host`) works without them.
"""

__version__ = "0.1.0"
