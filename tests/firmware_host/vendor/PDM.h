/* Declarations of Arduino's PDM library, as far as examples call it. */
#pragma once
#include <cstddef>
struct PDMClass {
  int begin(int channels, int sample_rate);
  int available();
  int read(void* buffer, std::size_t size);
  void onReceive(void (*function)());
};
extern PDMClass PDM;
