/* The real FFT of the log-mel front end where there is no CMSIS-DSP; see dsp/transform_functions.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * N real points are N / 2 complex ones: their FFT, and one more pass that takes the even and the odd points apart. With
 * ESP-IDF (KMTL_ESP_DSP) the complex FFT is esp-dsp's, which has it in assembly. */
#include <math.h>
#include <stddef.h>

#include "dsp/transform_functions.h"

#if defined(KMTL_ESP_DSP)
#include "esp_dsp.h"
#endif

/* sin(2 pi k / N), for k up to half a turn: the table has the first quarter. */
static float sine(const kmtl_fft_t *self, uint32_t k) {
  const uint32_t quarter = self->points / 4u;
  return (k <= quarter) ? self->sines[k] : self->sines[(2u * quarter) - k];
}

/* cos(2 pi k / N), for k up to half a turn. */
static float cosine(const kmtl_fft_t *self, uint32_t k) {
  const uint32_t quarter = self->points / 4u;
  return (k <= quarter) ? self->sines[quarter - k] : -self->sines[k - quarter];
}

#if defined(KMTL_ESP_DSP)
static void complex_fft(const kmtl_fft_t *self, float *data) {
  const int count = (int)(self->points / 2u);
  (void)dsps_fft2r_fc32(data, count);
  (void)dsps_bit_rev_fc32(data, count);
}
#else
static void swap(float *data, uint32_t one, uint32_t other) {
  uint32_t part;
  for (part = 0u; part < 2u; part++) {
    const float kept = data[(2u * one) + part];
    data[(2u * one) + part] = data[(2u * other) + part];
    data[(2u * other) + part] = kept;
  }
}

/* In place, [2 * count]: decimation in time, of radix 2. */
static void complex_fft(const kmtl_fft_t *self, float *data) {
  const uint32_t count = self->points / 2u;
  uint32_t reversed = 0u;
  uint32_t half;
  uint32_t k;

  for (k = 1u; k < count; k++) {
    uint32_t bit = count / 2u;
    while ((reversed & bit) != 0u) {
      reversed ^= bit;
      bit /= 2u;
    }
    reversed |= bit;
    if (k < reversed) {
      swap(data, k, reversed);
    }
  }
  for (half = 1u; half < count; half *= 2u) {
    const uint32_t stride = self->points / (2u * half);
    uint32_t turn;
    for (turn = 0u; turn < half; turn++) {
      const float re = cosine(self, turn * stride);
      const float im = -sine(self, turn * stride);
      for (k = turn; k < count; k += 2u * half) {
        float *const low = &data[2u * k];
        float *const high = &data[2u * (k + half)];
        const float turned_re = (re * high[0]) - (im * high[1]);
        const float turned_im = (re * high[1]) + (im * high[0]);
        high[0] = low[0] - turned_re;
        high[1] = low[1] - turned_im;
        low[0] += turned_re;
        low[1] += turned_im;
      }
    }
  }
}
#endif

kmtl_fft_status_t kmtl_fft_begin(kmtl_fft_t *self, uint32_t points, const float *sines) {
  self->points = points;
  self->sines = sines;
#if defined(KMTL_ESP_DSP)
  /* Its table is one for all of a firmware, and is made by whoever comes first: of the size that serves all. */
  if (dsps_fft2r_init_fc32(NULL, CONFIG_DSP_MAX_FFT_SIZE) != ESP_OK) {
    return ARM_MATH_ARGUMENT_ERROR;
  }
#endif
  return ARM_MATH_SUCCESS;
}

void kmtl_fft_real(const kmtl_fft_t *self, float *points, float *spectrum, uint8_t inverse) {
  const uint32_t half = self->points / 2u;
  uint32_t k;

  (void)inverse;
  complex_fft(self, points);
  spectrum[0] = points[0] + points[1];
  spectrum[1] = points[0] - points[1];
  for (k = 1u; k < half; k++) {
    const float *const own = &points[2u * k];
    const float *const other = &points[2u * (half - k)];
    const float even_re = 0.5f * (own[0] + other[0]);
    const float even_im = 0.5f * (own[1] - other[1]);
    const float odd_re = 0.5f * (own[1] + other[1]);
    const float odd_im = 0.5f * (other[0] - own[0]);
    const float re = cosine(self, k);
    const float im = -sine(self, k);
    spectrum[2u * k] = even_re + (re * odd_re) - (im * odd_im);
    spectrum[(2u * k) + 1u] = even_im + (re * odd_im) + (im * odd_re);
  }
}

void kmtl_fft_power(const float *numbers, float *power, uint32_t count) {
  uint32_t k;
  for (k = 0u; k < count; k++) {
    const float re = numbers[2u * k];
    const float im = numbers[(2u * k) + 1u];
    power[k] = (re * re) + (im * im);
  }
}

void kmtl_fft_log(const float *numbers, float *logarithms, uint32_t count) {
  uint32_t k;
  for (k = 0u; k < count; k++) {
    logarithms[k] = logf(numbers[k]);
  }
}
