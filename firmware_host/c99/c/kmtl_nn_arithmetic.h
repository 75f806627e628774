/* Integer arithmetic of the contracts int8.v1 and int16x8.v1: requantization as TensorFlow Lite Micro's, to the bit.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Three ways to the same integers, chosen by the core: one instruction for a high product where the core has it
 * (Armv7E-M, Armv8-M with DSP), 64-bit products elsewhere, and products of 16-bit halves on cores without a long
 * multiply (Armv6-M, Armv8-M baseline). */
#ifndef KMTL_NN_ARITHMETIC_H_
#define KMTL_NN_ARITHMETIC_H_

#include <stdint.h>

/* Right shifts of negative numbers are arithmetic on every compiler for these cores; C leaves it to them. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && defined(__GNUC__)
#define KMTL_NN_DSP 1
#else
#define KMTL_NN_DSP 0
#endif

#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define KMTL_NN_SHORT_MULTIPLY 1
#else
#define KMTL_NN_SHORT_MULTIPLY 0
#endif

#if defined(__GNUC__)
#define KMTL_NN_ALIGNED __attribute__((aligned(4)))
#define KMTL_NN_INLINE static inline __attribute__((always_inline))
#define KMTL_NN_ALONE __attribute__((noinline))
#else
#define KMTL_NN_ALIGNED
#define KMTL_NN_INLINE static inline
#define KMTL_NN_ALONE
#endif

/* How sums become outputs; of a convolution each channel has its own multiplier and shift. `wide` tells that a sum may
 * leave the range that the short ways are exact in. */
enum {
  KMTL_NN_SCALE_32 = 0, /* multipliers of 31 bits, two roundings */
  KMTL_NN_SCALE_16 = 1, /* sums of 64 bits: multipliers of 15 bits, one rounding; the shift is to the right */
  KMTL_NN_SCALE_RIGHT = 2 /* as 32; all shifts are to the right, by 1 or more */
};

/* value * 2^shift, as 32 bits that wrap: C does not define shifts of negative numbers. */
KMTL_NN_INLINE int32_t kmtl_nn_left(int32_t value, int shift) { return (int32_t)((uint32_t)value << shift); }

/* round(a * b / 2^31), halves upwards. |a| < 2^30 (int32_t), b >= 0. */
KMTL_NN_INLINE int32_t kmtl_nn_high(int32_t a, int32_t b) {
#if KMTL_NN_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(kmtl_nn_left(a, 1)), "r"(b));
  return high;
#elif KMTL_NN_SHORT_MULTIPLY
  /* From halves: a = ah * 2^16 + al, b = bh * 2^16 + bl, al and bl unsigned. */
  const int32_t ah = a >> 16;
  const int32_t bh = b >> 16;
  const uint32_t al = (uint32_t)a & 0xFFFFu;
  const uint32_t bl = (uint32_t)b & 0xFFFFu;
  const uint32_t low = al * bl;
  /* ah * bl and al * bh need not fit 32 bits together: the low halves go by unsigned sums with their carries. */
  const int32_t first = ah * (int32_t)bl;
  const int32_t second = (int32_t)(al * (uint32_t)bh);
  const uint32_t middle = (low >> 16) + ((uint32_t)first & 0xFFFFu) + ((uint32_t)second & 0xFFFFu);
  const int32_t high = (ah * bh) + (first >> 16) + (second >> 16) + (int32_t)(middle >> 16);
  /* The product is high * 2^32 + (middle mod 2^16) * 2^16 + ...; its bits 30 and above decide. */
  const uint32_t rest = ((middle & 0xFFFFu) << 16) | (low & 0xFFFFu);
  return kmtl_nn_left(high, 1) + (int32_t)((rest >> 31) + ((rest >> 30) & 1u));
#else
  return (int32_t)((((int64_t)a * b) + ((int64_t)1 << 30)) >> 31);
#endif
}

/* The same of any a. */
KMTL_NN_INLINE int32_t kmtl_nn_high_of_any(int32_t a, int32_t b) {
#if KMTL_NN_SHORT_MULTIPLY
  return kmtl_nn_high(a, b);
#else
  return (int32_t)((((int64_t)a * b) + ((int64_t)1 << 30)) >> 31);
#endif
}

/* value / 2^shift, halves away from zero; a shift of 1 or more, |value| < 2^30. */
KMTL_NN_INLINE int32_t kmtl_nn_halve(int32_t value, int shift) {
  return (value + (value >> 31) + (int32_t)((uint32_t)1 << (shift - 1))) >> shift;
}

/* The same with any shift to the right. */
KMTL_NN_INLINE int32_t kmtl_nn_divide(int32_t value, int shift) {
  return (shift == 0) ? value : kmtl_nn_halve(value, shift);
}

/* KMTL_NN_SCALE_32. The shift is to the left where it is positive, |sum << shift| < 2^30. */
KMTL_NN_INLINE int32_t kmtl_nn_scale_32(int32_t sum, int32_t multiplier, int shift) {
  return (shift > 0) ? kmtl_nn_high(kmtl_nn_left(sum, shift), multiplier)
                     : kmtl_nn_divide(kmtl_nn_high(sum, multiplier), -shift);
}

/* The same for any sum; as the original it wraps where a left shift overflows. */
KMTL_NN_INLINE int32_t kmtl_nn_scale_32_wide(int32_t sum, int32_t multiplier, int shift) {
  const int32_t shifted = (shift > 0) ? kmtl_nn_left(sum, shift) : sum;
  const int64_t high = (((int64_t)shifted * multiplier) + ((int64_t)1 << 30)) >> 31;
  const int right = (shift > 0) ? 0 : -shift;
  const int64_t half = (right > 0) ? ((int64_t)1 << (right - 1)) : 0;
  return (int32_t)((high + (((right > 0) && (high < 0)) ? -1 : 0) + half) >> right);
}

/* KMTL_NN_SCALE_16 of a sum that fits 32 bits: round(sum * multiplier / 2^shift), halves upwards; multiplier < 2^15. */
KMTL_NN_INLINE int32_t kmtl_nn_scale_16(int32_t sum, int32_t multiplier, int shift) {
  int32_t high;

  if (shift < 17) {
    return (int32_t)((((int64_t)sum * multiplier) + ((int64_t)1 << (shift - 1))) >> shift);
  }
  /* floor(sum * multiplier / 2^16): what is cut off is below the rounding's half. */
#if KMTL_NN_DSP
  __asm__("smulwb %0, %1, %2" : "=r"(high) : "r"(sum), "r"(multiplier));
#elif KMTL_NN_SHORT_MULTIPLY
  high = ((sum >> 16) * multiplier) + (int32_t)((((uint32_t)sum & 0xFFFFu) * (uint32_t)multiplier) >> 16);
#else
  high = (int32_t)(((int64_t)sum * multiplier) >> 16);
#endif
  return (high + (int32_t)((uint32_t)1 << (shift - 17))) >> (shift - 16);
}

/* The same of a sum of 48 bits. */
KMTL_NN_INLINE int32_t kmtl_nn_scale_16_wide(int64_t sum, int32_t multiplier, int shift) {
  return (int32_t)(((sum * multiplier) + ((int64_t)1 << (shift - 1))) >> shift);
}

KMTL_NN_INLINE int32_t kmtl_nn_clamp(int32_t value, int32_t lowest, int32_t highest) {
  return (value < lowest) ? lowest : ((value > highest) ? highest : value);
}

/* Element `place` of integers of 1 or 2 bytes. */
KMTL_NN_INLINE int32_t kmtl_nn_get(const void *data, uint32_t place, uint32_t bytes) {
  return (bytes == 1u) ? ((const int8_t *)data)[place] : ((const int16_t *)data)[place];
}

KMTL_NN_INLINE void kmtl_nn_put(void *data, uint32_t place, uint32_t bytes, int32_t value) {
  if (bytes == 1u) {
    ((int8_t *)data)[place] = (int8_t)value;
  } else {
    ((int16_t *)data)[place] = (int16_t)value;
  }
}

/* Memory from an element of so many bytes on. */
KMTL_NN_INLINE void *kmtl_nn_at(void *data, uint32_t place, uint32_t bytes) {
  return &((uint8_t *)data)[(uint32_t)(place * bytes)];
}

KMTL_NN_INLINE const void *kmtl_nn_at_const(const void *data, uint32_t place, uint32_t bytes) {
  return &((const uint8_t *)data)[(uint32_t)(place * bytes)];
}

#endif /* KMTL_NN_ARITHMETIC_H_ */
