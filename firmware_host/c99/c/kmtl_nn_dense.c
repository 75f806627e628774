/* Dense layers and products of matrices; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_nn.h"
#include "kmtl_nn_dot.h"
#include "kmtl_nn_rows.h"

/* Outputs whose sums are made before they are scaled: a multiple of 4. */
#define BLOCK 32u

/* Sums of outputs. A function of its own, so that its inner loops have all registers. */
KMTL_NN_ALONE static void sum_up(const int16_t *a, const int8_t *weights, const int32_t *bias, uint32_t length,
                                 uint32_t outputs, int32_t *sums) {
  int32_t *const end = sums + outputs;
  const int even = ((uintptr_t)a & 3u) == 0u;

  while ((sums + 3) < end) {
    sums[0] = bias[0];
    sums[1] = bias[1];
    sums[2] = bias[2];
    sums[3] = bias[3];
    if (even) {
      kmtl_nn_dot_4(a, weights, length, 1, sums);
    } else {
      kmtl_nn_dot_4(a, weights, length, 0, sums);
    }
    weights += 4u * length;
    bias += 4;
    sums += 4;
  }
  if ((sums + 1) < end) {
    sums[0] = bias[0];
    sums[1] = bias[1];
    kmtl_nn_dot_2(a, weights, length, sums);
    weights += 2u * length;
    bias += 2;
    sums += 2;
  }
  if (sums < end) {
    sums[0] = kmtl_nn_dot_1(a, weights, length, bias[0]);
  }
}

/* Scales sums of outputs from number `first` on; the most frequent way, of 16 bits with one multiplier, is compiled with
 * its constants. */
static void finish(const kmtl_nn_output_t *self, const int32_t *sums, uint32_t first, uint32_t count, void *out) {
  kmtl_nn_output_t own = *self;

  if ((self->bytes == 2u) && (self->scale == (uint8_t)KMTL_NN_SCALE_16) && (self->each == 0u)) {
    own.bytes = 2u;
    own.scale = (uint8_t)KMTL_NN_SCALE_16;
    own.each = 0u;
    kmtl_nn_results(&own, sums, count, out);
    return;
  }
  own.multipliers += (self->each != 0u) ? first : 0u;
  own.shifts += (self->each != 0u) ? first : 0u;
  kmtl_nn_results(&own, sums, count, out);
}

static void one_row(const kmtl_nn_dense_t *self, const int16_t *a, void *out) {
  const kmtl_nn_output_t *const output = &self->output;
  uint32_t first;

  for (first = 0u; first < self->outputs; first += BLOCK) {
    const uint32_t left = self->outputs - first;
    const uint32_t count = (left < BLOCK) ? left : BLOCK;
    int32_t sums[BLOCK];
    sum_up(a, self->weights + (first * self->padded), output->bias + first, self->padded, count, sums);
    finish(output, sums, first, count, kmtl_nn_at(out, first, output->bytes));
  }
}

static void one_wide_row(const kmtl_nn_dense_t *self, const int16_t *a, void *out) {
  const kmtl_nn_output_t *const output = &self->output;
  const int8_t *weights = self->weights;
  uint32_t c = 0u, group, k;

  while (c < self->outputs) {
    const uint32_t left = self->outputs - c;
    group = (left >= 4u) ? 4u : ((left >= 2u) ? 2u : 1u);
    for (k = 0u; k < group; k++) {
      const int64_t sum = kmtl_nn_dot_wide(a, weights + (4u * k), self->padded, 4u * group, output->bias[c + k]);
      kmtl_nn_put(out, c + k, output->bytes, kmtl_nn_result_wide(output, c + k, sum));
    }
    weights += group * self->padded;
    c += group;
  }
}

void kmtl_nn_dense(const kmtl_nn_dense_t *self, const void *in, void *out, int16_t *scratch) {
  const uint32_t bytes = self->output.bytes;
  const int direct = (bytes == 2u) && (self->inputs == self->padded) && (self->in_zero == 0);
  uint32_t k;

  for (k = 0u; k < self->rows; k++) {
    const void *const from = kmtl_nn_at_const(in, k * self->inputs, bytes);
    void *const to = kmtl_nn_at(out, k * self->outputs, bytes);
    const int16_t *row = scratch;
    if (direct) {
      row = (const int16_t *)from;
    } else {
      uint32_t rest;
      kmtl_nn_widen(from, self->inputs, bytes, self->in_zero, scratch);
      for (rest = self->inputs; rest < self->padded; rest++) {
        scratch[rest] = 0;
      }
    }
    if (self->output.wide != 0u) {
      one_wide_row(self, row, to);
    } else {
      one_row(self, row, to);
    }
  }
}

void kmtl_nn_matmul(const kmtl_nn_matmul_t *self, const void *left, const void *right, void *out) {
  const uint32_t bytes = self->output.bytes;
  uint32_t b, i, j, k;

  for (b = 0u; b < self->batches; b++) {
    for (i = 0u; i < self->rows; i++) {
      for (j = 0u; j < self->columns; j++) {
        const uint32_t from = (b * self->left_strides[0]) + (i * self->left_strides[1]);
        const uint32_t with = (b * self->right_strides[0]) + (j * self->right_strides[1]);
        int64_t sum = 0;
        int32_t value;
        if (self->output.wide != 0u) {
          for (k = 0u; k < self->depth; k++) {
            sum += (int64_t)(kmtl_nn_get(left, from + (k * self->left_strides[2]), bytes) - self->left_zero) *
                   (kmtl_nn_get(right, with + (k * self->right_strides[2]), bytes) - self->right_zero);
          }
          value = kmtl_nn_result_wide(&self->output, 0u, sum);
        } else {
          int32_t narrow = 0;
          for (k = 0u; k < self->depth; k++) {
            narrow += (kmtl_nn_get(left, from + (k * self->left_strides[2]), bytes) - self->left_zero) *
                      (kmtl_nn_get(right, with + (k * self->right_strides[2]), bytes) - self->right_zero);
          }
          value = kmtl_nn_result(&self->output, 0u, narrow);
        }
        kmtl_nn_put(out, (((b * self->rows) + i) * self->columns) + j, bytes, value);
      }
    }
  }
}
