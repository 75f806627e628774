"""The last mile: quantization-aware training, conversion, and the `.tflite` artifact."""
