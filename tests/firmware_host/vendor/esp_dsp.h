/* Stands in for esp-dsp: its complex FFT by the definition, in the order of an FFT before its bits are reversed. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "esp_err.h"
#define CONFIG_DSP_MAX_FFT_SIZE 4096
static inline esp_err_t dsps_fft2r_init_fc32(float *table, int size) {
  (void)table;
  return (size == CONFIG_DSP_MAX_FFT_SIZE) ? ESP_OK : 1;
}
static inline esp_err_t dsps_bit_rev_fc32(float *data, int count) {
  for (int k = 1, reversed = 0; k < count; k++) {
    int bit = count / 2;
    for (; (reversed & bit) != 0; bit /= 2) {
      reversed ^= bit;
    }
    reversed |= bit;
    for (int part = 0; (k < reversed) && (part < 2); part++) {
      const float kept = data[2 * k + part];
      data[2 * k + part] = data[2 * reversed + part];
      data[2 * reversed + part] = kept;
    }
  }
  return ESP_OK;
}
static inline esp_err_t dsps_fft2r_fc32(float *data, int count) {
  static float found[4096];
  for (int bin = 0; bin < count; bin++) {
    double re = 0.0, im = 0.0;
    for (int k = 0; k < count; k++) {
      const double turn = -6.283185307179586 * (double)((long)bin * k % count) / count;
      re += data[2 * k] * cos(turn) - data[2 * k + 1] * sin(turn);
      im += data[2 * k] * sin(turn) + data[2 * k + 1] * cos(turn);
    }
    found[2 * bin] = (float)re;
    found[2 * bin + 1] = (float)im;
  }
  memcpy(data, found, 2 * (size_t)count * sizeof(float));
  return dsps_bit_rev_fc32(data, count);
}
