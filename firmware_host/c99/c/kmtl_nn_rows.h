/* What layers with weights share: rows of an input as int16, and the way from sums to outputs.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_NN_ROWS_H_
#define KMTL_NN_ROWS_H_

#include <string.h>

#include "kmtl_nn.h"
#include "kmtl_nn_dot.h"

KMTL_NN_INLINE int32_t kmtl_nn_scaled(const kmtl_nn_output_t *self, int32_t sum, int32_t multiplier, int shift) {
  if (self->scale == (uint8_t)KMTL_NN_SCALE_RIGHT) {
    return kmtl_nn_halve(kmtl_nn_high(sum, multiplier), shift);
  }
  return (self->scale == (uint8_t)KMTL_NN_SCALE_16) ? kmtl_nn_scale_16(sum, multiplier, shift)
                                                    : kmtl_nn_scale_32(sum, multiplier, shift);
}

/* A sum of a channel as the output's integer. */
KMTL_NN_INLINE int32_t kmtl_nn_result(const kmtl_nn_output_t *self, uint32_t channel, int32_t sum) {
  const uint32_t place = (self->each != 0u) ? channel : 0u;
  const int32_t multiplier = self->multipliers[place];
  const int shift = self->shifts[place];
  return kmtl_nn_clamp(kmtl_nn_scaled(self, sum, multiplier, shift) + self->zero, self->lowest, self->highest);
}

KMTL_NN_INLINE int32_t kmtl_nn_result_wide(const kmtl_nn_output_t *self, uint32_t channel, int64_t sum) {
  const uint32_t place = (self->each != 0u) ? channel : 0u;
  const int32_t multiplier = self->multipliers[place];
  const int shift = self->shifts[place];
  const int32_t scaled = (self->scale == (uint8_t)KMTL_NN_SCALE_16)
                             ? kmtl_nn_scale_16_wide(sum, multiplier, shift)
                             : kmtl_nn_scale_32_wide((int32_t)(uint32_t)(uint64_t)sum, multiplier, shift);
  return kmtl_nn_clamp(scaled + self->zero, self->lowest, self->highest);
}

/* Sums of all channels as outputs. */
KMTL_NN_INLINE void kmtl_nn_results(const kmtl_nn_output_t *self, const int32_t *sums, uint32_t channels, void *out) {
  const int32_t *multiplier = self->multipliers;
  const int8_t *shift = self->shifts;
  const int32_t *const end = sums + channels;
  const int32_t zero = self->zero, lowest = self->lowest, highest = self->highest;
  const uint32_t next = self->each;
  int8_t *bytes = (int8_t *)out;
  int16_t *halves = (int16_t *)out;

  for (; sums != end; sums++) {
    const int32_t value = kmtl_nn_clamp(kmtl_nn_scaled(self, *sums, *multiplier, *shift) + zero, lowest, highest);
    if (self->bytes == 1u) {
      *bytes = (int8_t)value;
      bytes++;
    } else {
      *halves = (int16_t)value;
      halves++;
    }
    multiplier += next;
    shift += next;
  }
}

/* Elements as int16 without the zero point. */
static inline void kmtl_nn_widen(const void *from, uint32_t count, uint32_t bytes, int32_t zero, int16_t *to) {
  uint32_t k;

  if (bytes == 1u) {
    const int8_t *const source = (const int8_t *)from;
    k = 0u;
#if KMTL_NN_DSP
    {
      const uint32_t both = ((uint32_t)zero & 0xFFFFu) | ((uint32_t)zero << 16);
      for (; (k + 3u) < count; k += 4u) {
        const uint32_t word = kmtl_nn_word(&source[k]);
        const uint32_t even = (uint32_t)__ssub16(kmtl_nn_even(word), (int16x2_t)both);
        const uint32_t odd = (uint32_t)__ssub16(kmtl_nn_odd(word), (int16x2_t)both);
        const uint32_t pairs[2] = {(even & 0xFFFFu) | (odd << 16), (even >> 16) | (odd & 0xFFFF0000u)};
        (void)memcpy(&to[k], pairs, 8u);
      }
    }
#endif
    for (; k < count; k++) {
      to[k] = (int16_t)(source[k] - zero);
    }
  } else if (zero == 0) {
    (void)memcpy(to, from, (size_t)count * 2u);
  } else {
    const int16_t *const source = (const int16_t *)from;
    for (k = 0u; k < count; k++) {
      to[k] = (int16_t)(source[k] - zero);
    }
  }
}

static inline void kmtl_nn_clear(int16_t *to, uint32_t count) {
  int16_t *const end = to + count;

  while (to != end) {
    *to = 0;
    to++;
  }
}

/* Brings the rows of the input that row `y` of the results needs into `held`, one after the other. What is there of the
 * row before stays. */
static inline void kmtl_nn_hold_rows(const kmtl_nn_conv_t *self, const kmtl_nn_rows_t *parts, uint32_t y,
                                     int16_t *held) {
  const uint32_t row = (uint32_t)self->padded_width * self->in_channels;
  const uint32_t ahead = (uint32_t)self->pool_height * self->stride_height;
  const uint32_t left = (uint32_t)self->pad_left * self->in_channels;
  const uint32_t room = (row > left) ? (row - left) : 0u;
  const uint32_t all = (uint32_t)self->in_width * self->in_channels;
  const uint32_t taken = (all < room) ? all : room;
  uint32_t k = 0u;

  if ((y > 0u) && (ahead < self->held_rows)) {
    k = (uint32_t)self->held_rows - ahead;
    (void)memmove(held, held + (ahead * row), (size_t)k * row * sizeof(int16_t));
  }
  for (; k < self->held_rows; k++) {
    int16_t *const to = held + (k * row);
    const uint32_t down = (y * ahead) + k;
    uint32_t from = down - self->pad_top;
    const kmtl_nn_rows_t *part = parts;
    if ((down < self->pad_top) || ((down - self->pad_top) >= self->in_height)) {
      kmtl_nn_clear(to, row);
      continue;
    }
    while (from >= part->rows) {
      from -= part->rows;
      part++;
    }
    kmtl_nn_clear(to, left);
    kmtl_nn_widen(kmtl_nn_at_const(part->data, from * all, self->output.bytes), taken, self->output.bytes,
                  self->in_zero, to + left);
    kmtl_nn_clear(to + left + taken, row - left - taken);
  }
}

#endif /* KMTL_NN_ROWS_H_ */
