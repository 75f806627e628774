/* Pools and sums over dimensions; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_nn.h"
#include "kmtl_nn_arithmetic.h"

void kmtl_nn_pool(const kmtl_nn_pool_t *self, const void *in, void *out) {
  uint32_t y, x, c, wy, wx;

  for (y = 0u; y < self->out_height; y++) {
    /* The window, clipped: rows from .. to - 1, counted from the top of the padding. */
    const uint32_t down = y * self->stride_height;
    const uint32_t top = (down > self->pad_top) ? (down - self->pad_top) : 0u;
    const uint32_t bottom = (down + self->window_height) - self->pad_top;
    const uint32_t end_y = (bottom < self->in_height) ? bottom : self->in_height;
    for (x = 0u; x < self->out_width; x++) {
      const uint32_t along = x * self->stride_width;
      const uint32_t left = (along > self->pad_left) ? (along - self->pad_left) : 0u;
      const uint32_t right = (along + self->window_width) - self->pad_left;
      const uint32_t end_x = (right < self->in_width) ? right : self->in_width;
      const int32_t count = (int32_t)((end_y - top) * (end_x - left));
      for (c = 0u; c < self->channels; c++) {
        int32_t value = (self->mean != 0u) ? 0 : INT32_MIN;
        for (wy = top; wy < end_y; wy++) {
          for (wx = left; wx < end_x; wx++) {
            const int32_t each = kmtl_nn_get(in, (((wy * self->in_width) + wx) * self->channels) + c, self->bytes);
            value = (self->mean != 0u) ? (value + each) : ((each > value) ? each : value);
          }
        }
        if (self->mean != 0u) {
          /* Halves away from zero. */
          value = ((value > 0) ? (value + (count / 2)) : (value - (count / 2))) / count;
        }
        kmtl_nn_put(out, (((y * self->out_width) + x) * self->channels) + c, self->bytes,
                    kmtl_nn_clamp(value, self->lowest, self->highest));
      }
    }
  }
}

/* Place in the input of number `k` of a block's elements. */
static uint32_t place_of(const uint32_t *shape, const uint32_t *strides, uint32_t k) {
  uint32_t found = 0u;
  uint32_t d = 4u;

  while (d > 0u) {
    d--;
    found += (k % shape[d]) * strides[d];
    k /= shape[d];
  }
  return found;
}

void kmtl_nn_reduce(const kmtl_nn_reduce_t *self, const void *in, void *out) {
  const uint32_t count = self->kept[0] * self->kept[1] * self->kept[2] * self->kept[3];
  const int32_t highest = (self->bytes == 1u) ? INT8_MAX : INT16_MAX;
  uint32_t k, a, b, c, d;

  for (k = 0u; k < count; k++) {
    const uint32_t from = place_of(self->kept, self->kept_strides, k);
    int32_t sum = self->offset;
    for (a = 0u; a < self->summed[0]; a++) {
      for (b = 0u; b < self->summed[1]; b++) {
        for (c = 0u; c < self->summed[2]; c++) {
          for (d = 0u; d < self->summed[3]; d++) {
            sum += kmtl_nn_get(in,
                               from + (a * self->summed_strides[0]) + (b * self->summed_strides[1]) +
                                   (c * self->summed_strides[2]) + (d * self->summed_strides[3]),
                               self->bytes);
          }
        }
      }
    }
    kmtl_nn_put(out, k, self->bytes,
                kmtl_nn_clamp(kmtl_nn_scale_32_wide(sum, self->multiplier, self->shift) + self->zero, -highest - 1,
                              highest));
  }
}
