/* Dense layers and products of matrices; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_nn.h"
#include "kmtl_nn_dot.h"
#include "kmtl_nn_rows.h"

static void one_row(const kmtl_nn_dense_t *self, const int16_t *a, void *out) {
  const kmtl_nn_output_t *const output = &self->output;
  const uint32_t length = self->padded;
  const int8_t *weights = self->weights;
  uint32_t c = 0u, k;
  int32_t sums[4];

  for (; (c + 3u) < self->outputs; c += 4u) {
    for (k = 0u; k < 4u; k++) {
      sums[k] = output->bias[c + k];
    }
    kmtl_nn_dot_4(a, weights, length, sums);
    for (k = 0u; k < 4u; k++) {
      kmtl_nn_put(out, c + k, output->bytes, kmtl_nn_result(output, c + k, sums[k]));
    }
    weights += 4u * length;
  }
  if ((c + 1u) < self->outputs) {
    sums[0] = output->bias[c];
    sums[1] = output->bias[c + 1u];
    kmtl_nn_dot_2(a, weights, length, sums);
    kmtl_nn_put(out, c, output->bytes, kmtl_nn_result(output, c, sums[0]));
    kmtl_nn_put(out, c + 1u, output->bytes, kmtl_nn_result(output, c + 1u, sums[1]));
    weights += 2u * length;
    c += 2u;
  }
  if (c < self->outputs) {
    sums[0] = kmtl_nn_dot_1(a, weights, length, output->bias[c]);
    kmtl_nn_put(out, c, output->bytes, kmtl_nn_result(output, c, sums[0]));
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
