/* Convolutions; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the input are held as int16 without the zero point, padded at both sides: a few at a time, as many as one row
 * of results needs. So a kernel's row is one stretch of memory, and a result one dot product a row of the kernel. */
#include "kmtl_nn.h"
#include "kmtl_nn_conv.h"

KMTL_NN_ALONE static void sums_of_any(const kmtl_nn_conv_t *self, const int16_t *a, const int16_t *b, int how,
                                      int32_t *sums) {
  kmtl_nn_conv_sums(self, a, b, how, sums);
}

void kmtl_nn_conv_any_row(const kmtl_nn_conv_t *self, int16_t *held, void *out) {
  kmtl_nn_conv_row(self, sums_of_any, held, out);
}

static int64_t wide(const kmtl_nn_conv_t *self, const int16_t *a, const int8_t *weights, uint32_t group, uint32_t step,
                    int64_t sum) {
  uint32_t k;

  for (k = 0u; k < self->segments; k++) {
    sum = kmtl_nn_dot_wide(a, weights, self->segment, 4u * group, sum);
    weights += group * self->segment;
    a += step;
  }
  return sum;
}

void kmtl_nn_conv_wide_row(const kmtl_nn_conv_t *self, int16_t *held, void *out) {
  const kmtl_nn_output_t *const output = &self->output;
  const uint32_t row = (uint32_t)self->padded_width * self->in_channels;
  const uint32_t size = (uint32_t)self->segments * self->segment; /* packed weights of a channel */
  const uint32_t step = (uint32_t)self->dilation_height * row;
  int16_t *const room = held + self->held + (4u * self->out_channels);
  uint32_t x, c, l;

  for (x = 0u; x < self->out_width; x++) {
    for (c = 0u; c < self->out_channels; c++) {
      const uint32_t group = ((c | 1u) < self->out_channels) ? 2u : 1u;
      const int8_t *const weights = self->weights + ((c & ~1u) * size) + (((c & 1u) != 0u) ? 4u : 0u);
      int64_t most = INT64_MIN;
      for (l = 0u; l < ((uint32_t)self->pool_height * self->pool_width); l++) {
        const uint32_t along = (x * self->pool_width) + (l % self->pool_width);
        const int16_t *place = held + ((l / self->pool_width) * self->stride_height * row) +
                               (along * self->stride_width * self->in_channels);
        int64_t sum;
        if (self->gathered != 0u) {
          kmtl_nn_gather(self, place, row, room);
          place = room;
        }
        sum = wide(self, place, weights, group, step, output->bias[c]);
        most = (sum > most) ? sum : most;
      }
      kmtl_nn_put(out, (x * self->out_channels) + c, output->bytes, kmtl_nn_result_wide(output, c, most));
    }
  }
}

void kmtl_nn_conv(const kmtl_nn_conv_t *self, const kmtl_nn_rows_t *parts, void *out, int16_t *scratch) {
  const uint32_t results = (uint32_t)self->out_width * self->out_channels;
  uint32_t y;

  for (y = 0u; y < self->out_height; y++) {
    kmtl_nn_hold_rows(self, parts, y, scratch);
    self->row(self, scratch, kmtl_nn_at(out, y * results, self->output.bytes));
  }
}

/* Four channels of a depthwise convolution at one place. */
KMTL_NN_INLINE void four_channels(const kmtl_nn_conv_t *self, const int16_t *a, const int8_t *w, uint32_t row,
                                  int32_t *sums) {
  const uint32_t channels = self->in_channels;
  const uint32_t across = (uint32_t)self->dilation_width * channels;
  const uint32_t down = ((uint32_t)self->dilation_height * row) - (self->kernel_width * across);
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  uint32_t ky, kx;

  for (ky = self->kernel_height; ky > 0u; ky--) {
    for (kx = self->kernel_width; kx > 0u; kx--) {
#if KMTL_NN_DSP
      const uint32_t word = kmtl_nn_word(w);
      const int16x2_t even = kmtl_nn_even(word), odd = kmtl_nn_odd(word);
      const int16x2_t a01 = (int16x2_t)kmtl_nn_word(a), a23 = (int16x2_t)kmtl_nn_word(a + 2);
      s0 = __smlabb(a01, even, s0);
      s1 = __smlatb(a01, odd, s1);
      s2 = __smlabt(a23, even, s2);
      s3 = __smlatt(a23, odd, s3);
#else
      s0 += (int32_t)a[0] * w[0];
      s1 += (int32_t)a[1] * w[1];
      s2 += (int32_t)a[2] * w[2];
      s3 += (int32_t)a[3] * w[3];
#endif
      a += across;
      w += channels;
    }
    a += down;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* One channel, with a sum of 64 bits. */
static int64_t one_channel(const kmtl_nn_conv_t *self, const int16_t *a, const int8_t *w, uint32_t row, int64_t sum) {
  const uint32_t across = (uint32_t)self->dilation_width * self->in_channels;
  uint32_t ky, kx;

  for (ky = 0u; ky < self->kernel_height; ky++) {
    for (kx = 0u; kx < self->kernel_width; kx++) {
      sum += (int32_t)a[kx * across] * *w;
      w += self->out_channels;
    }
    a += (uint32_t)self->dilation_height * row;
  }
  return sum;
}

void kmtl_nn_depthwise(const kmtl_nn_conv_t *self, const kmtl_nn_rows_t *parts, void *out, int16_t *scratch) {
  const kmtl_nn_output_t *const output = &self->output;
  const uint32_t row = (uint32_t)self->padded_width * self->in_channels;
  const uint32_t channels = self->out_channels;
  const uint32_t times = channels / self->in_channels;
  const int by_four = (times == 1u) && ((channels & 3u) == 0u) && (output->wide == 0u);
  int32_t *const sums = (int32_t *)(void *)(scratch + self->held);
  uint32_t y, x, c;

  for (y = 0u; y < self->out_height; y++) {
    kmtl_nn_hold_rows(self, parts, y, scratch);
    for (x = 0u; x < self->out_width; x++) {
      const int16_t *const place = scratch + (x * self->stride_width * self->in_channels);
      void *const to = kmtl_nn_at(out, ((y * self->out_width) + x) * channels, output->bytes);
      if (by_four) {
        (void)memcpy(sums, output->bias, (size_t)channels * sizeof(int32_t));
        for (c = 0u; c < channels; c += 4u) {
          four_channels(self, place + c, &self->weights[c], row, &sums[c]);
        }
        kmtl_nn_results(output, sums, channels, to);
      } else {
        for (c = 0u; c < channels; c++) {
          const int64_t sum = one_channel(self, place + (c / times), &self->weights[c], row, output->bias[c]);
          kmtl_nn_put(to, c, output->bytes,
                      (output->wide != 0u) ? kmtl_nn_result_wide(output, c, sum)
                                           : kmtl_nn_result(output, c, (int32_t)sum));
        }
      }
    }
  }
}

void kmtl_nn_conv_transposed(const kmtl_nn_conv_t *self, const void *in, void *out, int64_t *scratch) {
  const uint32_t taps = (uint32_t)self->kernel_height * self->kernel_width;
  const uint32_t depth = self->in_channels;
  uint32_t y, x, c, k, ky, kx;

  for (y = 0u; y < self->out_height; y++) {
    for (x = 0u; x < self->out_width; x++) {
      for (c = 0u; c < self->out_channels; c++) {
        scratch[c] = self->output.bias[c];
      }
      for (ky = 0u; ky < self->kernel_height; ky++) {
        for (kx = 0u; kx < self->kernel_width; kx++) {
          /* The input places whose results reach this one: (y + pad - ky) / stride where that is whole. */
          const uint32_t up = y + self->pad_top;
          const uint32_t along = x + self->pad_left;
          uint32_t from;
          if ((up < ky) || (along < kx) || (((up - ky) % self->stride_height) != 0u) ||
              (((along - kx) % self->stride_width) != 0u) || (((up - ky) / self->stride_height) >= self->in_height) ||
              (((along - kx) / self->stride_width) >= self->in_width)) {
            continue;
          }
          from = ((((up - ky) / self->stride_height) * self->in_width) + ((along - kx) / self->stride_width)) * depth;
          for (c = 0u; c < self->out_channels; c++) {
            const int8_t *const w = &self->weights[((c * taps) + (ky * self->kernel_width) + kx) * depth];
            for (k = 0u; k < depth; k++) {
              scratch[c] += (int64_t)(kmtl_nn_get(in, from + k, self->output.bytes) - self->in_zero) * w[k];
            }
          }
        }
      }
      for (c = 0u; c < self->out_channels; c++) {
        kmtl_nn_put(out, (((y * self->out_width) + x) * self->out_channels) + c, self->output.bytes,
                    kmtl_nn_result_wide(&self->output, c, scratch[c]));
      }
    }
  }
}
