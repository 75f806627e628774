/* Layers that only move elements; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kmtl_nn.h"
#include "kmtl_nn_arithmetic.h"

void kmtl_nn_move(const kmtl_nn_move_t *self, const void *in, void *out) {
  uint32_t a, b, c, d;

  for (a = 0u; a < self->shape[0]; a++) {
    for (b = 0u; b < self->shape[1]; b++) {
      for (c = 0u; c < self->shape[2]; c++) {
        const uint8_t *from = (const uint8_t *)in + (a * self->in_strides[0]) + (b * self->in_strides[1]) +
                              (c * self->in_strides[2]);
        uint8_t *to = (uint8_t *)out + (a * self->out_strides[0]) + (b * self->out_strides[1]) +
                      (c * self->out_strides[2]);
        for (d = 0u; d < self->shape[3]; d++) {
          if (self->run == 1u) {
            *to = *from;
          } else {
            (void)memcpy(to, from, self->run);
          }
          from += self->in_strides[3];
          to += self->out_strides[3];
        }
      }
    }
  }
}

void kmtl_nn_fill(void *out, uint32_t count, uint32_t bytes, int32_t value) {
  uint32_t k;

  for (k = 0u; k < count; k++) {
    kmtl_nn_put(out, k, bytes, value);
  }
}

uint32_t kmtl_nn_checksum(uint32_t sum, const void *data, uint32_t bytes) {
  const uint8_t *at = (const uint8_t *)data;
  const uint8_t *const end = at + bytes;

  while (at != end) {
    sum = (sum ^ *at) * 16777619u;
    at++;
  }
  return sum;
}
