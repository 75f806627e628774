/* One network on TensorFlow Lite Micro (C++11): its operators, its arena, and a call that copies in and out.
 * Part of keras_mtl.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERAS_MTL_KMTL_TFLM_H_
#define KERAS_MTL_KMTL_TFLM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace keras_mtl {

/* Nothing is allocated but in the arena. An object holds one network; make it once, and not before RAM is set up.
 * kVariables is the number of variables that the network keeps from one inference to the next. */
template <class Resolver, int kVariables>
class TflmNetwork {
 public:
  typedef TfLiteStatus (*RegisterFunction)(Resolver*);

  /* With an allocator in an arena. Several networks may share one: what they compute lies in the same memory, so none
   * may run while another does, and nothing is left in the arena from one inference to the next but the variables. */
  TflmNetwork(const unsigned char* model, tflite::MicroAllocator* allocator)
      : resolver_(),
        interpreter_(tflite::GetModel(model), resolver_, allocator, Variables(allocator)),
        status_(kTfLiteError) {}

  /* Registers the operators and lays out the arena; to be called once. kTfLiteError: the arena is too small, or the
   * library lacks a kernel. TensorFlow Lite Micro prints which, unless its error strings are stripped, as those of
   * BUILD_TYPE=release are: BUILD_TYPE=release_with_logs keeps them. */
  TfLiteStatus Start(RegisterFunction register_operators) {
    if (register_operators(&resolver_) != kTfLiteOk) {
      return kTfLiteError;
    }
    status_ = interpreter_.AllocateTensors();
    return status_;
  }

  /* One inference. inputs[i] points to the elements of input i, outputs[i] to room for those of output i, in the
   * file's order; an output whose pointer is null is not copied. The inputs are copied each time, since an inference
   * may overwrite the network's own; and all of them before any output, so that the next states of a streaming encoder
   * may go where its states are. */
  TfLiteStatus Run(const void* const* inputs, void* const* outputs) {
    if (status_ != kTfLiteOk) {
      return status_;
    }
    for (std::size_t i = 0; i < interpreter_.inputs_size(); ++i) {
      TfLiteTensor* tensor = interpreter_.input(i);
      std::memcpy(tensor->data.raw, inputs[i], tensor->bytes);
    }
    if (interpreter_.Invoke() != kTfLiteOk) {
      return kTfLiteError;
    }
    for (std::size_t i = 0; i < interpreter_.outputs_size(); ++i) {
      if (outputs[i] != nullptr) {
        const TfLiteTensor* tensor = interpreter_.output(i);
        std::memcpy(outputs[i], tensor->data.raw, tensor->bytes);
      }
    }
    return kTfLiteOk;
  }

  /* What of the arena is used, after Start(); of a shared one by all that have started. */
  std::size_t arena_used_bytes() const { return interpreter_.arena_used_bytes(); }

 private:
  static tflite::MicroResourceVariables* Variables(tflite::MicroAllocator* allocator) {
    return kVariables == 0 ? nullptr : tflite::MicroResourceVariables::Create(allocator, kVariables);
  }

  Resolver resolver_;
  tflite::MicroInterpreter interpreter_;
  TfLiteStatus status_;
};

}  // namespace keras_mtl

#endif  /* KERAS_MTL_KMTL_TFLM_H_ */
