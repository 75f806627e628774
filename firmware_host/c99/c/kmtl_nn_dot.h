/* Dot products of int16 activations with packed int8 weights; those of several channels and of two places at once.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Weights lie in groups of 1, 2 or 4 channels. Of a group come four weights of its first channel, four of the next and
 * so on, then the next four of each. Each four are in the order 0, 2, 1, 3: so two instructions of a core with DSP
 * extension make of them two pairs of 16 bits. Lengths are multiples of 4: behind the last weight stand zeros.
 */
#ifndef KMTL_NN_DOT_H_
#define KMTL_NN_DOT_H_

#include <string.h>

#include "kmtl_nn_arithmetic.h"

#if KMTL_NN_DSP

#include <arm_acle.h>

/* Four bytes, wherever they lie: these cores load words from any address. */
KMTL_NN_INLINE uint32_t kmtl_nn_word(const void *data) {
  uint32_t word;
  (void)memcpy(&word, data, 4u);
  return word;
}

/* Two weights as 16 bits: those in bytes 0 and 2, or in bytes 1 and 3. */
KMTL_NN_INLINE int16x2_t kmtl_nn_even(uint32_t word) {
  int16x2_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
}

KMTL_NN_INLINE int16x2_t kmtl_nn_odd(uint32_t word) {
  int16x2_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

/* Two words at an address that is a multiple of 4, and the address behind them. */
#define KMTL_NN_TWO_WORDS(first, second, at, type)        \
  __asm__("ldrd %0, %1, [%2], #8"                         \
          : "=r"(first), "=r"(second), "+r"(at)           \
          : "m"(*(const type(*)[8 / sizeof(type)])(at)))

/* One place, one channel. */
KMTL_NN_INLINE int32_t kmtl_nn_dot_1(const int16_t *a, const int8_t *w, uint32_t length, int32_t sum) {
  const int8_t *const end = w + length;
  while (w != end) {
    const uint32_t word = kmtl_nn_word(w);
    sum = __smlad((int16x2_t)kmtl_nn_word(a), kmtl_nn_even(word), sum);
    sum = __smlad((int16x2_t)kmtl_nn_word(a + 2), kmtl_nn_odd(word), sum);
    a += 4;
    w += 4;
  }
  return sum;
}

/* One place, two channels: sums[0] and [1]. */
KMTL_NN_INLINE void kmtl_nn_dot_2(const int16_t *a, const int8_t *w, uint32_t length, int32_t *sums) {
  const int8_t *const end = w + (2u * length);
  int32_t s0 = sums[0], s1 = sums[1];
  while (w != end) {
    uint32_t w0, w1;
    const int16x2_t a0 = (int16x2_t)kmtl_nn_word(a);
    const int16x2_t a1 = (int16x2_t)kmtl_nn_word(a + 2);
    KMTL_NN_TWO_WORDS(w0, w1, w, int8_t);
    a += 4;
    s0 = __smlad(a0, kmtl_nn_even(w0), s0);
    s0 = __smlad(a1, kmtl_nn_odd(w0), s0);
    s1 = __smlad(a0, kmtl_nn_even(w1), s1);
    s1 = __smlad(a1, kmtl_nn_odd(w1), s1);
  }
  sums[0] = s0;
  sums[1] = s1;
}

/* One place, four channels. `even`: the place is aligned to 4 bytes. */
KMTL_NN_INLINE void kmtl_nn_dot_4(const int16_t *a, const int8_t *w, uint32_t length, int even, int32_t *sums) {
  const int8_t *const end = w + (4u * length);
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  uint32_t w0, w1, x0, x1;
  int16x2_t a0, a1;
#define KMTL_NN_FOUR_OF_FOUR                 \
  if (even) {                                \
    KMTL_NN_TWO_WORDS(x0, x1, a, int16_t);   \
  } else {                                   \
    x0 = kmtl_nn_word(a);                    \
    x1 = kmtl_nn_word(a + 2);                \
    a += 4;                                  \
  }                                          \
  a0 = (int16x2_t)x0;                        \
  a1 = (int16x2_t)x1;                        \
  KMTL_NN_TWO_WORDS(w0, w1, w, int8_t);      \
  s0 = __smlad(a0, kmtl_nn_even(w0), s0);    \
  s0 = __smlad(a1, kmtl_nn_odd(w0), s0);     \
  s1 = __smlad(a0, kmtl_nn_even(w1), s1);    \
  s1 = __smlad(a1, kmtl_nn_odd(w1), s1);     \
  KMTL_NN_TWO_WORDS(w0, w1, w, int8_t);      \
  s2 = __smlad(a0, kmtl_nn_even(w0), s2);    \
  s2 = __smlad(a1, kmtl_nn_odd(w0), s2);     \
  s3 = __smlad(a0, kmtl_nn_even(w1), s3);    \
  s3 = __smlad(a1, kmtl_nn_odd(w1), s3)
  if ((length & 4u) != 0u) {
    KMTL_NN_FOUR_OF_FOUR;
  }
  while (w != end) {
    KMTL_NN_FOUR_OF_FOUR;
    KMTL_NN_FOUR_OF_FOUR;
  }
#undef KMTL_NN_FOUR_OF_FOUR
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* Two places, both aligned to 4 bytes, two channels: sums of place a in [0] and [1], of place b in [2] and [3]. */
KMTL_NN_INLINE void kmtl_nn_dot_2x2(const int16_t *a, const int16_t *b, const int8_t *w, uint32_t length,
                                    int32_t *sums) {
  const int8_t *const end = w + (2u * length);
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  uint32_t w0, w1, x0, x1;
  int16x2_t p0, p1, q0, q1;
#define KMTL_NN_FOUR_BY_FOUR             \
  KMTL_NN_TWO_WORDS(w0, w1, w, int8_t);  \
  KMTL_NN_TWO_WORDS(x0, x1, a, int16_t); \
  p0 = kmtl_nn_even(w0);                 \
  p1 = kmtl_nn_odd(w0);                  \
  q0 = kmtl_nn_even(w1);                 \
  q1 = kmtl_nn_odd(w1);                  \
  s0 = __smlad((int16x2_t)x0, p0, s0);   \
  s1 = __smlad((int16x2_t)x0, q0, s1);   \
  s0 = __smlad((int16x2_t)x1, p1, s0);   \
  s1 = __smlad((int16x2_t)x1, q1, s1);   \
  KMTL_NN_TWO_WORDS(x0, x1, b, int16_t); \
  s2 = __smlad((int16x2_t)x0, p0, s2);   \
  s3 = __smlad((int16x2_t)x0, q0, s3);   \
  s2 = __smlad((int16x2_t)x1, p1, s2);   \
  s3 = __smlad((int16x2_t)x1, q1, s3)
  if ((length & 4u) != 0u) {
    KMTL_NN_FOUR_BY_FOUR;
  }
  while (w != end) {
    KMTL_NN_FOUR_BY_FOUR;
    KMTL_NN_FOUR_BY_FOUR;
  }
#undef KMTL_NN_FOUR_BY_FOUR
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

#else /* portable */

/* Four activations with four packed weights. */
#define KMTL_NN_FOUR(a, w) \
  (((int32_t)(a)[0] * (w)[0]) + ((int32_t)(a)[1] * (w)[2]) + ((int32_t)(a)[2] * (w)[1]) + ((int32_t)(a)[3] * (w)[3]))

KMTL_NN_INLINE int32_t kmtl_nn_dot_1(const int16_t *a, const int8_t *w, uint32_t length, int32_t sum) {
  uint32_t k;
  for (k = 0u; k < length; k += 4u) {
    sum += KMTL_NN_FOUR(a + k, w + k);
  }
  return sum;
}

KMTL_NN_INLINE void kmtl_nn_dot_2(const int16_t *a, const int8_t *w, uint32_t length, int32_t *sums) {
  int32_t s0 = sums[0], s1 = sums[1];
  uint32_t k;
  for (k = 0u; k < length; k += 4u) {
    s0 += KMTL_NN_FOUR(a, w);
    s1 += KMTL_NN_FOUR(a, w + 4);
    a += 4;
    w += 8;
  }
  sums[0] = s0;
  sums[1] = s1;
}

KMTL_NN_INLINE void kmtl_nn_dot_4(const int16_t *a, const int8_t *w, uint32_t length, int even, int32_t *sums) {
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  uint32_t k;

  (void)even;
  for (k = 0u; k < length; k += 4u) {
    s0 += KMTL_NN_FOUR(a, w);
    s1 += KMTL_NN_FOUR(a, w + 4);
    s2 += KMTL_NN_FOUR(a, w + 8);
    s3 += KMTL_NN_FOUR(a, w + 12);
    a += 4;
    w += 16;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

KMTL_NN_INLINE void kmtl_nn_dot_2x2(const int16_t *a, const int16_t *b, const int8_t *w, uint32_t length,
                                    int32_t *sums) {
  kmtl_nn_dot_2(a, w, length, sums);
  kmtl_nn_dot_2(b, w, length, &sums[2]);
}

#endif

/* One place, one channel, a sum of 64 bits. `stride`: from the first weight of four to the next of the same channel. */
KMTL_NN_INLINE int64_t kmtl_nn_dot_wide(const int16_t *a, const int8_t *w, uint32_t length, uint32_t stride,
                                        int64_t sum) {
  uint32_t k;
  for (k = 0u; k < length; k += 4u) {
    sum += ((int64_t)a[0] * w[0]) + ((int64_t)a[1] * w[2]) + ((int64_t)a[2] * w[1]) + ((int64_t)a[3] * w[3]);
    a += 4;
    w += stride;
  }
  return sum;
}

#endif /* KMTL_NN_DOT_H_ */
