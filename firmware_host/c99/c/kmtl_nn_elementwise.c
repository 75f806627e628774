/* Sums, products and functions, element by element; see kmtl_nn.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_nn.h"
#include "kmtl_nn_arithmetic.h"

/* The logistic function at 0, 1/24, 2/24 ... times 65536, as TensorFlow Lite has it (kernels/internal/common.h). */
static const uint16_t sigmoids[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688,
    43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409,
    51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110,
    61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186,
    63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900,
    64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208,
    65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449,
    65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491,
    65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530,
    65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
};

KMTL_NN_INLINE int32_t scaled_down(int32_t value, int32_t multiplier, int shift) {
  return kmtl_nn_divide(kmtl_nn_high(value, multiplier), -shift);
}

KMTL_NN_INLINE int32_t sum_of(const kmtl_nn_sum_t *self, int32_t a, int32_t b) {
  const int32_t first = scaled_down(kmtl_nn_left(a - self->zeros[0], self->left), self->multipliers[0], self->shifts[0]);
  const int32_t second =
      scaled_down(kmtl_nn_left(b - self->zeros[1], self->left), self->multipliers[1], self->shifts[1]);
  const int32_t both = (self->subtract != 0u) ? (first - second) : (first + second);
  const int32_t value = scaled_down(both, self->multipliers[2], self->shifts[2]);
  return kmtl_nn_clamp(value + self->zeros[2], self->lowest, self->highest);
}

KMTL_NN_INLINE int32_t product_of(const kmtl_nn_product_t *self, int32_t a, int32_t b) {
  const int32_t product = (a - self->zeros[0]) * (b - self->zeros[1]);
  const int left = (self->shift > 0) ? self->shift : 0;
  const int32_t high = kmtl_nn_high_of_any(kmtl_nn_left(product, left), self->multiplier);
  const int32_t value = kmtl_nn_divide(high, left - self->shift);
  return kmtl_nn_clamp(value + self->zeros[2], self->lowest, self->highest);
}

KMTL_NN_INLINE int32_t wide_product_of(const kmtl_nn_product_t *self, int32_t a, int32_t b) {
  const int32_t product = (a - self->zeros[0]) * (b - self->zeros[1]);
  const int32_t value = kmtl_nn_scale_32_wide(product, self->multiplier, self->shift);
  return kmtl_nn_clamp(value + self->zeros[2], self->lowest, self->highest);
}

/* Places of the four loops over two inputs that repeat elements. */
typedef struct {
  uint32_t at[4];
} place_t;

static uint32_t place_in(const kmtl_nn_pairs_t *pairs, uint32_t input, const place_t *place) {
  uint32_t found = 0u, d;

  for (d = 0u; d < 4u; d++) {
    found += place->at[d] * pairs->strides[input][d];
  }
  return found;
}

static void next_place(const kmtl_nn_pairs_t *pairs, place_t *place) {
  uint32_t d = 4u;

  while (d > 0u) {
    d--;
    place->at[d]++;
    if (place->at[d] < pairs->shape[d]) {
      return;
    }
    place->at[d] = 0u;
  }
}

static uint32_t elements_of(const kmtl_nn_pairs_t *pairs) {
  return pairs->shape[0] * pairs->shape[1] * pairs->shape[2] * pairs->shape[3];
}

void kmtl_nn_sum(const kmtl_nn_sum_t *self, const void *a, const void *b, void *out) {
  /* A copy, which no element of the output can lie over as far as the compiler knows. */
  const kmtl_nn_sum_t own = *self;
  const uint32_t count = elements_of(&self->pairs);
  place_t place = {{0u, 0u, 0u, 0u}};
  uint32_t k;

  if ((self->pairs.flat != 0u) && (self->bytes == 2u)) {
    for (k = 0u; k < count; k++) {
      ((int16_t *)out)[k] = (int16_t)sum_of(&own, ((const int16_t *)a)[k], ((const int16_t *)b)[k]);
    }
  } else if (self->pairs.flat != 0u) {
    for (k = 0u; k < count; k++) {
      ((int8_t *)out)[k] = (int8_t)sum_of(self, ((const int8_t *)a)[k], ((const int8_t *)b)[k]);
    }
  } else {
    for (k = 0u; k < count; k++) {
      const int32_t first = kmtl_nn_get(a, place_in(&self->pairs, 0u, &place), self->bytes);
      const int32_t second = kmtl_nn_get(b, place_in(&self->pairs, 1u, &place), self->bytes);
      kmtl_nn_put(out, k, self->bytes, sum_of(self, first, second));
      next_place(&self->pairs, &place);
    }
  }
}

void kmtl_nn_product(const kmtl_nn_product_t *self, const void *a, const void *b, void *out) {
  const kmtl_nn_product_t own = *self;
  const uint32_t count = elements_of(&self->pairs);
  place_t place = {{0u, 0u, 0u, 0u}};
  uint32_t k;

  if ((self->pairs.flat != 0u) && (self->wide == 0u) && (self->bytes == 2u)) {
    for (k = 0u; k < count; k++) {
      ((int16_t *)out)[k] = (int16_t)product_of(&own, ((const int16_t *)a)[k], ((const int16_t *)b)[k]);
    }
  } else {
    for (k = 0u; k < count; k++) {
      const int32_t first = kmtl_nn_get(a, place_in(&self->pairs, 0u, &place), self->bytes);
      const int32_t second = kmtl_nn_get(b, place_in(&self->pairs, 1u, &place), self->bytes);
      const int32_t value = (self->wide != 0u) ? wide_product_of(self, first, second) : product_of(self, first, second);
      kmtl_nn_put(out, k, self->bytes, value);
      next_place(&self->pairs, &place);
    }
  }
}

void kmtl_nn_requantize(const kmtl_nn_requantize_t *self, const void *in, void *out) {
  uint32_t k;

  for (k = 0u; k < self->count; k++) {
    const int32_t value = kmtl_nn_get(in, k, self->in_bytes) - self->in_zero;
    const int32_t scaled = kmtl_nn_scale_32_wide(value, self->multiplier, self->shift) + self->out_zero;
    kmtl_nn_put(out, k, self->out_bytes, kmtl_nn_clamp(scaled, self->lowest, self->highest));
  }
}

void kmtl_nn_table(const int8_t *table, const int8_t *in, uint32_t count, int8_t *out) {
  uint32_t k;

  for (k = 0u; k < count; k++) {
    out[k] = table[(uint32_t)(in[k] + 128)];
  }
}

void kmtl_nn_sigmoid(const kmtl_nn_sigmoid_t *self, const int16_t *in, int16_t *out) {
  const int32_t half = (self->shift > 0u) ? ((int32_t)1 << (self->shift - 1u)) : 0;
  const uint32_t bits = (self->tanh != 0u) ? 8u : 9u; /* of the fraction between two entries of the table */
  uint32_t k;

  for (k = 0u; k < self->count; k++) {
    const int32_t x = ((in[k] * self->multiplier) + half) >> self->shift;
    const uint32_t size = (uint32_t)((x < 0) ? -x : x);
    const uint32_t entry = size >> bits;
    uint32_t found;
    if (entry >= 255u) {
      found = (self->tanh != 0u) ? ((uint32_t)0xFFFFu << 8) : ((uint32_t)0x7FFFu << 10);
    } else {
      const uint32_t from = sigmoids[entry];
      found = (from << bits) + ((size & (((uint32_t)1u << bits) - 1u)) * (sigmoids[entry + 1u] - from));
    }
    if (self->tanh != 0u) {
      const int32_t middle = (int32_t)1 << 23;
      const int32_t value = (x >= 0) ? ((int32_t)found - middle + 128) : (middle - (int32_t)found + 127);
      out[k] = (int16_t)(value >> 8);
    } else {
      const uint32_t value = (x >= 0) ? (found + 512u) : (((uint32_t)1u << 25) - found + 511u);
      out[k] = (int16_t)(value >> 10);
    }
  }
}
