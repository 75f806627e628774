/* The inner loops of convolutions, to be compiled with a layer's constants: generated code has a function of each for a
 * layer with many products; others share those of kmtl_nn_conv.c.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_NN_CONV_H_
#define KMTL_NN_CONV_H_

#include "kmtl_nn.h"
#include "kmtl_nn_dot.h"
#include "kmtl_nn_rows.h"

/* How the sums of two places go on. */
enum {
  KMTL_NN_BOTH,  /* each is a result: [channels] of place a, then [channels] of place b */
  KMTL_NN_FIRST, /* the larger one of each channel */
  KMTL_NN_MORE   /* the largest of these and those that are there */
};

KMTL_NN_INLINE int32_t kmtl_nn_larger(int32_t a, int32_t b) { return (a > b) ? a : b; }

KMTL_NN_INLINE void kmtl_nn_keep(int32_t *sums, int32_t a, int32_t b, uint32_t channels, int how) {
  if (how == KMTL_NN_BOTH) {
    sums[0] = a;
    sums[channels] = b;
  } else {
    const int32_t most = kmtl_nn_larger(a, b);
    sums[0] = (how == KMTL_NN_FIRST) ? most : kmtl_nn_larger(most, sums[0]);
  }
}

/* Sums of all channels at two places. Called by a function of its own, its inner loop has all registers. */
KMTL_NN_INLINE void kmtl_nn_conv_sums(const kmtl_nn_conv_t *self, const int16_t *a, const int16_t *b, int how,
                                      int32_t *sums) {
  const uint32_t step = (uint32_t)self->dilation_height * self->padded_width * self->in_channels;
  const uint32_t channels = self->out_channels;
  const uint32_t segment = self->segment;
  const int8_t *weights = self->weights;
  const int32_t *bias = self->output.bias;
  int32_t *const end = sums + channels;

  while ((sums + 1) < end) {
    const int16_t *p = a;
    const int16_t *q = b;
    uint32_t left = self->segments;
    int32_t four[4];
    four[0] = bias[0];
    four[1] = bias[1];
    four[2] = bias[0];
    four[3] = bias[1];
    do {
      kmtl_nn_dot_2x2(p, q, weights, segment, four);
      weights += 2u * segment;
      p += step;
      q += step;
      left--;
    } while (left > 0u);
    kmtl_nn_keep(&sums[0], four[0], four[2], channels, how);
    kmtl_nn_keep(&sums[1], four[1], four[3], channels, how);
    sums += 2;
    bias += 2;
  }
  if (sums != end) {
    uint32_t left = self->segments;
    int32_t first = bias[0], second = bias[0];
    do {
      first = kmtl_nn_dot_1(a, weights, segment, first);
      second = kmtl_nn_dot_1(b, weights, segment, second);
      weights += segment;
      a += step;
      b += step;
      left--;
    } while (left > 0u);
    kmtl_nn_keep(sums, first, second, channels, how);
  }
}

/* What lies below a kernel, one after the other: kernels that reach over odd numbers of elements, or over gaps. */
KMTL_NN_INLINE void kmtl_nn_gather(const kmtl_nn_conv_t *self, const int16_t *from, uint32_t row, int16_t *to) {
  const uint32_t runs = (self->dilation_width == 1u) ? 1u : self->kernel_width;
  const uint32_t run = (uint32_t)self->in_channels * ((self->dilation_width == 1u) ? self->kernel_width : 1u);
  const int16_t *const end = to + self->segment;
  uint32_t ky, kx, c;

  for (ky = 0u; ky < self->kernel_height; ky++) {
    const int16_t *place = from;
    for (kx = 0u; kx < runs; kx++) {
      for (c = 0u; c < run; c++) {
        to[c] = place[c];
      }
      to += run;
      place += (uint32_t)self->dilation_width * self->in_channels;
    }
    from += (uint32_t)self->dilation_height * row;
  }
  while (to != end) {
    *to = 0;
    to++;
  }
}

/* Calls kmtl_nn_conv_sums with the layer. */
typedef void (*kmtl_nn_sums_t)(const kmtl_nn_conv_t *self, const int16_t *a, const int16_t *b, int how, int32_t *sums);

/* One row of results. `held`: the scratch memory, with the rows that it needs. */
KMTL_NN_INLINE void kmtl_nn_conv_row(const kmtl_nn_conv_t *self, kmtl_nn_sums_t add_up, int16_t *held, void *out) {
  int32_t *const sums = (int32_t *)(void *)(held + self->held);
  int16_t *const room = held + self->held + (4u * self->out_channels);
  const uint32_t row = (uint32_t)self->padded_width * self->in_channels;
  const uint32_t windows = (uint32_t)self->pool_height * self->pool_width;
  const uint32_t across = (uint32_t)self->stride_width * self->in_channels;
  const uint32_t channels = self->out_channels;
  uint32_t x = 0u, k;

  while (x < self->out_width) {
    /* Either the places of a window, or those of two results side by side; an odd one is its own neighbour. */
    const uint32_t two = ((windows == 1u) && ((x + 1u) < self->out_width)) ? 1u : 0u;
    const int16_t *pair[2];
    pair[1] = held;
    for (k = 0u; k < (windows + two); k++) {
      const uint32_t down = (two != 0u) ? 0u : (k / self->pool_width);
      const uint32_t along = (two != 0u) ? k : (k % self->pool_width);
      const int16_t *place = held + (down * self->stride_height * row) + (((x * self->pool_width) + along) * across);
      if (self->gathered != 0u) {
        int16_t *const to = room + ((k & 1u) * self->segment);
        kmtl_nn_gather(self, place, row, to);
        place = to;
      }
      pair[k & 1u] = place;
      if ((k & 1u) != 0u) {
        add_up(self, pair[0], pair[1], (two != 0u) ? KMTL_NN_BOTH : ((k == 1u) ? KMTL_NN_FIRST : KMTL_NN_MORE), sums);
      }
    }
    if ((k & 1u) != 0u) {
      add_up(self, pair[0], pair[0], (k == 1u) ? KMTL_NN_FIRST : KMTL_NN_MORE, sums);
    }
    kmtl_nn_results(&self->output, sums, channels, kmtl_nn_at(out, x * channels, self->output.bytes));
    if (two != 0u) {
      kmtl_nn_results(&self->output, sums + channels, channels,
                      kmtl_nn_at(out, (x + 1u) * channels, self->output.bytes));
    }
    x += 1u + two;
  }
}

#endif /* KMTL_NN_CONV_H_ */
