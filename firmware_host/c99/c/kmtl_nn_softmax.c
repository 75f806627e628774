/* Softmax; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * The reciprocal of a sum is gemmlowp's, by three steps of Newton and Raphson in fixed point. */
#include "kmtl_nn.h"
#include "kmtl_nn_arithmetic.h"

#define Q2_48_OVER_17 1515870810
#define Q2_MINUS_32_OVER_17 (-1010580540)
#define Q2_ONE ((int32_t)1 << 29)

static int leading_zeros(uint32_t value) {
  int count = 0;

  while ((count < 32) && ((value & 0x80000000u) == 0u)) {
    value <<= 1;
    count++;
  }
  return count;
}

/* round(a * b / 2^31) of any two but -2^31 twice. */
static int32_t product(int32_t a, int32_t b) { return (int32_t)((((int64_t)a * b) + ((int64_t)1 << 30)) >> 31); }

/* value / 2^shift of what is not negative, halves upwards; a shift of 1 or more. */
static int32_t rounded(int32_t value, int shift) { return (value >> shift) + ((value >> (shift - 1)) & 1); }

/* value * 2^shift, limited to 32 bits. */
static int32_t times_power(int32_t value, int shift) {
  const int32_t most = INT32_MAX >> shift;

  return (value > most) ? INT32_MAX : ((value < (-most - 1)) ? INT32_MIN : kmtl_nn_left(value, shift));
}

/* 1 / (1 + a) of a in [0, 1) as Q0.31. */
static int32_t inverse_of_one_plus(int32_t a) {
  const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
  int32_t x = Q2_48_OVER_17 + product(half, Q2_MINUS_32_OVER_17);
  int k;

  for (k = 0; k < 3; k++) {
    x += times_power(product(x, Q2_ONE - product(half, x)), 2);
  }
  return times_power(x, 1);
}

void kmtl_nn_softmax_int8(const kmtl_nn_softmax_t *self, const int8_t *in, int8_t *out) {
  uint32_t row, c;

  for (row = 0u; row < self->rows; row++) {
    const int8_t *const from = &in[row * self->depth];
    int8_t *const to = &out[row * self->depth];
    int32_t most = INT8_MIN;
    int32_t sum = 0; /* Q12.19 */
    int32_t scale;
    int zeros, exponent;

    for (c = 0u; c < self->depth; c++) {
      most = (from[c] > most) ? from[c] : most;
    }
    for (c = 0u; c < self->depth; c++) {
      const uint32_t below = (uint32_t)(most - from[c]);
      sum += (below < self->count) ? rounded(self->exps[below], 12) : 0;
    }
    zeros = leading_zeros((uint32_t)sum);
    scale = inverse_of_one_plus((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
    exponent = (12 - zeros) + 23;
    for (c = 0u; c < self->depth; c++) {
      const uint32_t below = (uint32_t)(most - from[c]);
      const int32_t value = (below < self->count) ? rounded(product(scale, self->exps[below]), exponent) : 0;
      to[c] = (int8_t)kmtl_nn_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
    }
  }
}

/* A table of 513 entries over all int16 values, with straight lines between them. */
static int32_t looked_up(const int16_t *lut, int32_t value) {
  const uint32_t place = (uint32_t)(256 + (value >> 7));
  const int32_t slope = (int16_t)(lut[place + 1u] - lut[place]);

  return (int16_t)(lut[place] + (((slope * (value & 0x7F)) + 64) >> 7));
}

void kmtl_nn_softmax_int16(const kmtl_nn_softmax_t *self, const int16_t *in, int16_t *out) {
  uint32_t row, c;

  for (row = 0u; row < self->rows; row++) {
    const int16_t *const from = &in[row * self->depth];
    int16_t *const to = &out[row * self->depth];
    int32_t most = INT16_MIN;
    int32_t sum = 0; /* Q16.15 */
    int32_t shifted, inverse;
    int zeros, shift;

    for (c = 0u; c < self->depth; c++) {
      most = (from[c] > most) ? from[c] : most;
    }
    for (c = 0u; c < self->depth; c++) {
      const int32_t difference = kmtl_nn_scale_32_wide(from[c] - most, self->multiplier, self->shift);
      to[c] = (int16_t)looked_up(self->exp_lut, kmtl_nn_clamp(difference + INT16_MAX, INT16_MIN, INT16_MAX));
      sum += to[c];
    }
    zeros = leading_zeros((uint32_t)sum);
    shifted = (int32_t)((((int64_t)sum * ((int64_t)1 << (zeros - 1))) + (1 << 13)) >> 14);
    inverse = looked_up(self->inverse_lut, kmtl_nn_clamp(shifted - ((1 << 15) + (1 << 16)), INT16_MIN, INT16_MAX));
    shift = 31 - zeros;
    for (c = 0u; c < self->depth; c++) {
      const int64_t value = (((int64_t)to[c] * inverse) + ((int64_t)1 << (shift - 1))) >> shift;
      to[c] = (int16_t)kmtl_nn_clamp((int32_t)value, 0, INT16_MAX);
    }
  }
}
