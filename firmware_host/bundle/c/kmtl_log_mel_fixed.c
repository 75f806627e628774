/* Log-mel of one frame in integers; see kmtl_log_mel_fixed.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_log_mel_fixed.h"

#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#define KMTL_DSP 1
#else
#define KMTL_DSP 0
#endif

/* What is specialised by a constant argument: a call would cost more than the work. */
#if defined(__GNUC__)
#define KMTL_INLINE static inline __attribute__((always_inline))
#else
#define KMTL_INLINE static inline
#endif

/* What needs all registers for itself. */
#if defined(__GNUC__)
#define KMTL_APART static __attribute__((noinline))
#else
#define KMTL_APART static
#endif

/* Thumb-1 has no product of 64 bits. */
#if defined(__ARM_ARCH_ISA_THUMB) && (__ARM_ARCH_ISA_THUMB == 1)
#define KMTL_SHORT_PRODUCTS 1
#else
#define KMTL_SHORT_PRODUCTS 0
#endif

#define PARTS 32u
/* Of 2^12: magnitudes whose components have 16 bits; and those from which on a stage halves what would still fit, since
 * the next stage would have to sum more than 16 bits, which takes more instructions. */
#define LARGEST ((uint32_t)0x8000u << 12)
#define LARGE ((uint32_t)23171u << 12)
/* Steps of a doubled power, of 2^6: 256 * 10 log10(2). */
#define STEPS_PER_OCTAVE 49321

/* A complex number of 32 bits, as products and their sums are. */
typedef struct {
  int32_t re;
  int32_t im;
} wide_t;

/* Complex numbers of 16 bits: in one register with the DSP instructions, apart without them. Sums must fit; halves are
 * rounded down. `turned` sums are those with j times the second number. */
#if KMTL_DSP
typedef int16x2_t pair_t;

KMTL_INLINE pair_t top_halves(int32_t re, int32_t im) {
  pair_t pair;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(im), "r"(re));
  return pair;
}
/* The same of 2^15. */
KMTL_INLINE pair_t below_top(int32_t re, int32_t im) {
  pair_t pair;
  __asm__("pkhtb %0, %1, %2, asr #15" : "=r"(pair) : "r"((uint32_t)im << 1), "r"(re));
  return pair;
}
KMTL_INLINE pair_t real_parts(pair_t a, pair_t b) {
  pair_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
KMTL_INLINE pair_t imaginary_parts(pair_t a, pair_t b) { return top_halves(a, b); }
/* The real part of one, the imaginary one of the other. */
KMTL_INLINE pair_t both_ends(pair_t a, pair_t b) {
  pair_t pair;
  __asm__("pkhbt %0, %1, %2" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
KMTL_INLINE pair_t loaded(const uint32_t *at) { return (pair_t)*at; }
/* The same where a register is worth more than the load. */
KMTL_INLINE pair_t from_memory(const uint32_t *at) {
  pair_t pair;
  __asm__ volatile("ldr %0, %1" : "=r"(pair) : "m"(*at));
  return pair;
}
KMTL_INLINE uint32_t packed(pair_t a) { return (uint32_t)a; }
/* Stores and loads two integers; returns where the next ones are. */
KMTL_INLINE uint32_t *stored(uint32_t *at, uint32_t a, uint32_t b) {
  __asm__ volatile("strd %1, %2, [%0], #8" : "+r"(at) : "r"(a), "r"(b) : "memory");
  return at;
}
KMTL_INLINE const uint32_t *fetched(const uint32_t *at, uint32_t *a, uint32_t *b) {
  __asm__("ldrd %1, %2, [%0], #8" : "+r"(at), "=&r"(*a), "=&r"(*b) : : "memory");
  return at;
}
/* The same downwards. */
KMTL_INLINE const uint32_t *fetched_down(const uint32_t *at, uint32_t *a, uint32_t *b) {
  __asm__("ldrd %1, %2, [%0], #-8" : "+r"(at), "=&r"(*a), "=&r"(*b) : : "memory");
  return at;
}
/* Sums of 32 bits. */
#define ONES ((pair_t)0x00010001)
#define MINUS_ONE_AND_ONE ((pair_t)0x0001FFFF)
KMTL_INLINE wide_t wide_plus(pair_t a, pair_t b) {
  const wide_t result = {__smuad(real_parts(a, b), ONES), __smuad(imaginary_parts(a, b), ONES)};
  return result;
}
KMTL_INLINE wide_t wide_minus(pair_t a, pair_t b) {
  const wide_t result = {__smusd(real_parts(a, b), ONES), __smusd(imaginary_parts(a, b), ONES)};
  return result;
}
KMTL_INLINE wide_t wide_plus_turned(pair_t a, pair_t b) {
  const wide_t result = {__smusd(both_ends(a, b), ONES), __smuad(both_ends(b, a), ONES)};
  return result;
}
KMTL_INLINE wide_t wide_minus_turned(pair_t a, pair_t b) {
  const wide_t result = {__smuad(both_ends(a, b), ONES), __smuad(both_ends(b, a), MINUS_ONE_AND_ONE)};
  return result;
}
KMTL_INLINE pair_t parity(pair_t a) { return (pair_t)((uint32_t)a & 0x00010001u); }
KMTL_INLINE pair_t negated(pair_t a) { return __ssub16(0, a); }
KMTL_INLINE pair_t plus(pair_t a, pair_t b) { return __sadd16(a, b); }
KMTL_INLINE pair_t minus(pair_t a, pair_t b) { return __ssub16(a, b); }
KMTL_INLINE pair_t plus_turned(pair_t a, pair_t b) { return __sasx(a, b); }
KMTL_INLINE pair_t minus_turned(pair_t a, pair_t b) { return __ssax(a, b); }
KMTL_INLINE pair_t half_plus(pair_t a, pair_t b) { return __shadd16(a, b); }
KMTL_INLINE pair_t half_minus(pair_t a, pair_t b) { return __shsub16(a, b); }
/* (a + b) / 4, rounded; what lies halfway is, by the parity of a third number. */
KMTL_INLINE pair_t quarter_of_sum(pair_t a, pair_t b, pair_t other) {
  return half_plus(half_plus(a, b), parity((pair_t)(((uint32_t)a ^ (uint32_t)b) | (uint32_t)other)));
}
/* sum + a.re * b.re + a.im * b.im, and with minus. */
KMTL_INLINE int32_t products(pair_t a, pair_t b, int32_t sum) { return __smlad(a, b, sum); }
KMTL_INLINE int32_t products_apart(pair_t a, pair_t b, int32_t sum) { return __smlsd(a, b, sum); }
KMTL_INLINE int32_t product_sum(pair_t a, pair_t b) { return __smuad(a, b); }
KMTL_INLINE int32_t product_difference(pair_t a, pair_t b) { return __smusd(a, b); }
/* sum + a.re * b.im - a.im * b.re. */
KMTL_INLINE int32_t products_across(pair_t a, pair_t b, int32_t sum) { return __smlsdx(a, b, sum); }
/* (a + b) and (a - j b) times cosine - j sine, of 2^-2. Where b is subtracted, its negative is needed as well. */
KMTL_INLINE pair_t turned_sum(pair_t a, pair_t b, pair_t turn) {
  return top_halves(products(b, turn, products(a, turn, 0x8000)),
                    products_across(turn, b, products_across(turn, a, 0x8000)));
}
KMTL_INLINE pair_t turned_apart(pair_t a, pair_t b, pair_t negative, pair_t turn) {
  return top_halves(products_across(turn, b, products(a, turn, 0x8000)),
                    products(negative, turn, products_across(turn, a, 0x8000)));
}
#else
typedef wide_t pair_t;

KMTL_INLINE pair_t pair_of(int32_t re, int32_t im) {
  const pair_t pair = {re, im};
  return pair;
}
KMTL_INLINE pair_t top_halves(int32_t re, int32_t im) { return pair_of(re >> 16, im >> 16); }
KMTL_INLINE pair_t below_top(int32_t re, int32_t im) { return pair_of(re >> 15, im >> 15); }
KMTL_INLINE pair_t real_parts(pair_t a, pair_t b) { return pair_of(a.re, b.re); }
KMTL_INLINE pair_t imaginary_parts(pair_t a, pair_t b) { return pair_of(a.im, b.im); }
KMTL_INLINE pair_t loaded(const uint32_t *at) { return pair_of((int16_t)(uint16_t)*at, (int32_t)*at >> 16); }
KMTL_INLINE pair_t from_memory(const uint32_t *at) { return loaded(at); }
KMTL_INLINE uint32_t packed(pair_t a) { return ((uint32_t)a.im << 16) | ((uint32_t)a.re & 0xFFFFu); }
KMTL_INLINE uint32_t *stored(uint32_t *at, uint32_t a, uint32_t b) {
  at[0] = a;
  at[1] = b;
  return &at[2];
}
KMTL_INLINE const uint32_t *fetched(const uint32_t *at, uint32_t *a, uint32_t *b) {
  *a = at[0];
  *b = at[1];
  return &at[2];
}
KMTL_INLINE const uint32_t *fetched_down(const uint32_t *at, uint32_t *a, uint32_t *b) {
  *a = at[0];
  *b = at[1];
  return &at[-2];
}
KMTL_INLINE pair_t parity(pair_t a) { return pair_of(a.re & 1, a.im & 1); }
KMTL_INLINE pair_t negated(pair_t a) { return pair_of(-a.re, -a.im); }
KMTL_INLINE pair_t plus(pair_t a, pair_t b) { return pair_of(a.re + b.re, a.im + b.im); }
KMTL_INLINE pair_t minus(pair_t a, pair_t b) { return pair_of(a.re - b.re, a.im - b.im); }
KMTL_INLINE pair_t plus_turned(pair_t a, pair_t b) { return pair_of(a.re - b.im, a.im + b.re); }
KMTL_INLINE pair_t minus_turned(pair_t a, pair_t b) { return pair_of(a.re + b.im, a.im - b.re); }
KMTL_INLINE wide_t wide_plus(pair_t a, pair_t b) { return plus(a, b); }
KMTL_INLINE wide_t wide_minus(pair_t a, pair_t b) { return minus(a, b); }
KMTL_INLINE wide_t wide_plus_turned(pair_t a, pair_t b) { return plus_turned(a, b); }
KMTL_INLINE wide_t wide_minus_turned(pair_t a, pair_t b) { return minus_turned(a, b); }
KMTL_INLINE pair_t half(pair_t a) { return pair_of(a.re >> 1, a.im >> 1); }
KMTL_INLINE pair_t half_plus(pair_t a, pair_t b) { return half(plus(a, b)); }
KMTL_INLINE pair_t half_minus(pair_t a, pair_t b) { return half(minus(a, b)); }
KMTL_INLINE pair_t quarter_of_sum(pair_t a, pair_t b, pair_t other) {
  return pair_of((a.re + b.re + 1 + (other.re & 1)) >> 2, (a.im + b.im + 1 + (other.im & 1)) >> 2);
}
KMTL_INLINE int32_t products(pair_t a, pair_t b, int32_t sum) { return sum + (a.re * b.re) + (a.im * b.im); }
KMTL_INLINE int32_t products_apart(pair_t a, pair_t b, int32_t sum) { return sum + (a.re * b.re) - (a.im * b.im); }
KMTL_INLINE int32_t product_sum(pair_t a, pair_t b) { return (a.re * b.re) + (a.im * b.im); }
KMTL_INLINE int32_t product_difference(pair_t a, pair_t b) { return (a.re * b.re) - (a.im * b.im); }
KMTL_INLINE int32_t products_across(pair_t a, pair_t b, int32_t sum) { return sum + (a.re * b.im) - (a.im * b.re); }
KMTL_INLINE pair_t turned_sum(pair_t a, pair_t b, pair_t turn) {
  const pair_t sum = plus(a, b);
  return top_halves(products(sum, turn, 0x8000), products_across(turn, sum, 0x8000));
}
KMTL_INLINE pair_t turned_apart(pair_t a, pair_t b, pair_t negative, pair_t turn) {
  (void)negative;
  return turned_sum(a, pair_of(b.im, -b.re), turn);
}
#endif

/* Bits that differ from the one below them: none above an integer's size. */
KMTL_INLINE uint32_t edges(uint32_t pair) { return pair ^ (pair << 1); }

#if KMTL_SHORT_PRODUCTS
/* The upper half of a square, rounded. */
KMTL_INLINE uint32_t upper_square(uint32_t value) {
  const uint32_t size = ((value >> 31) != 0u) ? (0u - value) : value;
  const uint32_t upper = size >> 16;
  const uint32_t lower = size & 0xFFFFu;
  const uint32_t mixed = upper * lower;
  const uint32_t square = lower * lower;
  const uint32_t below = (mixed << 17) + square;
  return (upper * upper) + (mixed >> 15) + ((below < square) ? 1u : 0u) + (below >> 31);
}
#endif

/* Place of the highest bit; of 0 it is 0. */
static uint32_t size_of(uint32_t value) {
#if defined(__GNUC__)
  return 31u ^ (uint32_t)__builtin_clz(value | 1u);
#else
  uint32_t bits = 0u;
  uint32_t step;
  for (step = 16u; step > 0u; step >>= 1) {
    if ((value >> step) != 0u) {
      value >>= step;
      bits += step;
    }
  }
  return bits;
#endif
}

/* Bits above the highest one of a number that is not 0. */
KMTL_INLINE uint32_t zeros_above(uint32_t value) {
#if defined(__GNUC__)
  return (uint32_t)__builtin_clz(value);
#else
  return 31u - size_of(value);
#endif
}

/* Bits of the largest of the integers whose edges these are, without its sign. */
static uint32_t bits_of(uint32_t found) {
  return size_of(((found & 0xFFFEu) | ((found >> 16) & 0xFFFEu)) | 1u);
}

/* Stores two results of a stage in a row and takes note of their squared magnitudes: at once, or the compiler would keep
 * both. */
KMTL_INLINE uint32_t *kept(uint32_t *at, pair_t a, pair_t b, uint32_t *all) {
#if KMTL_DSP
  uint32_t found;
  __asm__ volatile("smuad %[found], %[a], %[a]\n\t"
                   "orr %[all], %[all], %[found]\n\t"
                   "smuad %[found], %[b], %[b]\n\t"
                   "orr %[all], %[all], %[found]\n\t"
                   "strd %[a], %[b], [%[at]], #8"
                   : [at] "+r"(at), [all] "+r"(*all), [found] "=&r"(found)
                   : [a] "r"(a), [b] "r"(b)
                   : "memory");
  return at;
#else
  *all |= (uint32_t)product_sum(a, a) | (uint32_t)product_sum(b, b);
  return stored(at, packed(a), packed(b));
#endif
}

/* value * (cosine - j sine), as it is or halved. */
KMTL_INLINE pair_t turned(pair_t value, pair_t turn, uint32_t halved) {
  if (halved == 0u) {
    return below_top(products(value, turn, 0x4000), products_across(turn, value, 0x4000));
  }
  return top_halves(products(value, turn, 0x8000), products_across(turn, value, 0x8000));
}

/* Bits by which the sums of windowed samples may be shifted left. */
KMTL_INLINE uint32_t room_of(const kmtl_log_mel_fixed_t *tables, const uint32_t *samples, uint32_t points,
                             uint32_t radix) {
  const uint32_t parts = (points < (4u * PARTS)) ? (points / 4u) : PARTS;
  uint32_t most[PARTS];
  uint32_t bound = 0u;
  uint32_t part, other;

  for (part = 0u; part < parts; part++) {
    const uint32_t *const end = &samples[points / parts];
    uint32_t found = 0u;
    do {
      uint32_t a, b, c, d;
      samples = fetched(fetched(samples, &a, &b), &c, &d);
      found |= (edges(a) | edges(b)) | (edges(c) | edges(d));
    } while (samples < end);
    most[part] = (uint32_t)tables->heaviest[part] << bits_of(found);
  }
  for (part = 0u; part < (parts / radix); part++) {
    uint32_t sum = 0u;
    for (other = part; other < parts; other += parts / radix) {
      sum += most[other];
    }
    bound |= sum;
  }
  /* At full scale it is the weights that keep the sum of four within 32 bits. */
  bound = size_of(bound);
  return (bound < 30u) ? (30u - bound) : 0u;
}

KMTL_INLINE pair_t narrowed(int32_t re, int32_t im, uint32_t room) {
  return top_halves((int32_t)((uint32_t)re << room), (int32_t)((uint32_t)im << room));
}

/* Windows the samples and takes the first stage, of radix 4; halves its results. */
KMTL_INLINE void first_of_four(const kmtl_log_mel_fixed_t *tables, const uint32_t *in, uint32_t *out, uint32_t points,
                               uint32_t room, uint32_t *found) {
  const uint32_t quarter = points / 4u;
  const int32_t rounds = (int32_t)(0x8000u >> room);
  const uint32_t *factors = tables->first;
  uint32_t part;

  for (part = 0u; part < 4u; part++) {
    const uint32_t *const end = &in[quarter / 4u];
    uint32_t all = 0u;
    do {
      wide_t even, odd, sum, apart;
      {
        const pair_t a = loaded(in);
        const pair_t c = loaded(&in[2u * quarter]);
        const pair_t re = real_parts(a, c);
        const pair_t im = imaginary_parts(a, c);
        uint32_t first, second;
        pair_t of_re, of_im;
        factors = fetched(factors, &first, &second);
        of_re = loaded(&first);
        of_im = loaded(&second);
        even.re = products(re, of_re, rounds);
        even.im = products(im, of_im, rounds);
        odd.re = products_apart(re, of_re, rounds);
        odd.im = products_apart(im, of_im, rounds);
      }
      {
        const pair_t b = from_memory(&in[quarter]);
        const pair_t d = from_memory(&in[3u * quarter]);
        const pair_t re = real_parts(b, d);
        const pair_t im = imaginary_parts(b, d);
        uint32_t first, second;
        pair_t of_re, of_im;
        factors = fetched(factors, &first, &second);
        of_re = loaded(&first);
        of_im = loaded(&second);
        sum.re = product_sum(re, of_re);
        sum.im = product_sum(im, of_im);
        apart.re = product_difference(re, of_re);
        apart.im = product_difference(im, of_im);
      }
      {
        const pair_t y_0 = narrowed(even.re + sum.re, even.im + sum.im, room);
        const pair_t y_1 = narrowed(odd.re + apart.im, odd.im - apart.re, room);
        const pair_t y_2 = narrowed(even.re - sum.re, even.im - sum.im, room);
        const pair_t y_3 = narrowed(odd.re - apart.im, odd.im + apart.re, room);
        uint32_t turn_1, turn_2;
        factors = fetched(factors, &turn_1, &turn_2);
        out = kept(out, half_plus(y_0, parity(y_1)), turned(y_1, loaded(&turn_1), 1u), &all);
        out = kept(out, turned(y_2, loaded(&turn_2), 1u), turned(y_3, from_memory(factors), 1u), &all);
      }
      in++;
      factors++;
    } while (in < end);
    found[part] = all;
  }
}

/* The same of radix 2. */
KMTL_INLINE void first_of_two(const kmtl_log_mel_fixed_t *tables, const uint32_t *in, uint32_t *out, uint32_t points,
                              uint32_t room, uint32_t *found) {
  const uint32_t half_way = points / 2u;
  const int32_t rounds = (int32_t)(0x8000u >> room);
  const uint32_t *factors = tables->first;
  uint32_t part;

  for (part = 0u; part < 4u; part++) {
    const uint32_t *const end = &in[half_way / 4u];
    uint32_t all = 0u;
    do {
      const pair_t a = loaded(in);
      const pair_t b = loaded(&in[half_way]);
      const pair_t re = real_parts(a, b);
      const pair_t im = imaginary_parts(a, b);
      const pair_t sum = narrowed(products(re, loaded(&factors[0]), rounds), products(im, loaded(&factors[1]), rounds), room);
      const pair_t apart = narrowed(products_apart(re, loaded(&factors[0]), rounds),
                                    products_apart(im, loaded(&factors[1]), rounds), room);
      out = kept(out, half_plus(sum, parity(apart)), turned(apart, loaded(&factors[2]), 1u), &all);
      in++;
      factors += 3;
    } while (in < end);
    found[part] = all;
  }
}

/* No number of a quarter is as large as this, of 2^12: from the bits that their squared magnitudes take. */
static uint32_t bound_of(uint32_t found) {
  const uint32_t bits = size_of(found) + 1u;
  return (((bits % 2u) == 0u) ? 4096u : 5793u) << (bits / 2u);
}

/* What a stage loses of its sums of four, so that its results have 16 bits: 0 to 3 bits. With 2 and 3 the sums have more
 * than 16 bits; with 3 those of two have, too. Magnitudes are what no turn changes. */
static uint32_t scaling(const uint32_t *found) {
  const uint32_t even = bound_of(found[0]) + bound_of(found[2]);
  const uint32_t odd = bound_of(found[1]) + bound_of(found[3]);
  if ((even + odd) <= LARGE) {
    return 0u;
  }
  if ((even + odd) <= LARGEST) {
    return 1u;
  }
  return ((even <= LARGEST) && (odd <= LARGEST)) ? 2u : 3u;
}

/* A butterfly of radix 4: reads at distances of a quarter, writes four results in a row. What lies halfway between two
 * integers is rounded up or down by the parity of another number: errors of one sign would add up in single bins. */
KMTL_INLINE uint32_t *butterfly(const uint32_t *in, const uint32_t *turns, uint32_t *out, uint32_t quarter,
                                uint32_t mode, uint32_t *all) {
  pair_t a = loaded(in);
  pair_t b = loaded(&in[quarter]);
  const pair_t c = loaded(&in[2u * quarter]);
  const pair_t d = loaded(&in[3u * quarter]);
  pair_t even, odd, sum, apart, negative;
  if (mode < 3u) {
    even = plus(a, c);
    odd = minus(a, c);
    sum = plus(b, d);
    apart = minus(b, d);
    negative = minus(d, b);
  } else {
    a = plus(a, parity(b));
    b = plus(b, parity(c));
    even = half_plus(a, c);
    odd = half_minus(a, c);
    sum = half_plus(b, d);
    apart = half_minus(b, d);
    negative = negated(apart);
  }
  if (mode < 2u) {
    const pair_t first = plus(even, sum);
    out = kept(out, (mode == 0u) ? first : half_plus(first, parity(odd)),
               turned(minus_turned(odd, apart), loaded(&turns[0]), mode), all);
    return kept(out, turned(minus(even, sum), loaded(&turns[1]), mode),
                turned(plus_turned(odd, apart), loaded(&turns[2]), mode), all);
  }
  out = kept(out, quarter_of_sum(even, sum, odd), turned_apart(odd, apart, negative, loaded(&turns[0])), all);
  return kept(out, turned_sum(even, negated(sum), loaded(&turns[1])),
              turned_apart(odd, negative, apart, from_memory(&turns[2])), all);
}

/* One stage: `run` butterflies in a row, an even number, turn alike. `found`: squared magnitudes of the results by
 * quarters, which are the inputs of the next stage's butterflies. */
KMTL_INLINE void stage(const uint32_t *in, const uint32_t *turns, uint32_t *out, uint32_t points, uint32_t run,
                       uint32_t mode, uint32_t *found) {
  const uint32_t quarter = points / 4u;
  uint32_t part;

  for (part = 0u; part < 4u; part++) {
    const uint32_t *const end = &in[quarter / 4u];
    uint32_t all = 0u;
    do {
      const uint32_t turn[3] = {turns[0], turns[1], turns[2]};
      const uint32_t *const end_of_run = &in[run];
      do {
        out = butterfly(in, turn, out, quarter, mode, &all);
        out = butterfly(&in[1], turn, out, quarter, mode, &all);
        in += 2;
      } while (in < end_of_run);
      turns += 3;
    } while (in < end);
    found[part] = all;
  }
}

KMTL_INLINE uint32_t *stored_wide(uint32_t *at, wide_t a) { return stored(at, (uint32_t)a.re, (uint32_t)a.im); }

/* A butterfly of the last stage, which turns nothing: four frequencies in a row that are `points / 4` apart. Where sums
 * of two have more than 16 bits, it halves them; else it loses nothing. */
KMTL_INLINE void last_butterfly(const uint32_t *in, uint32_t *to, uint32_t quarter, uint32_t halved) {
  const pair_t a = loaded(in);
  const pair_t b = loaded(&in[quarter]);
  const pair_t c = loaded(&in[2u * quarter]);
  const pair_t d = loaded(&in[3u * quarter]);
  const pair_t even = (halved == 0u) ? plus(a, c) : half_plus(a, c);
  const pair_t odd = (halved == 0u) ? minus(a, c) : half_minus(a, c);
  const pair_t sum = (halved == 0u) ? plus(b, d) : half_plus(b, d);
  const pair_t apart = (halved == 0u) ? minus(b, d) : half_minus(b, d);
  to = stored_wide(to, wide_plus(even, sum));
  to = stored_wide(to, wide_minus_turned(odd, apart));
  to = stored_wide(to, wide_minus(even, sum));
  (void)stored_wide(to, wide_plus_turned(odd, apart));
}

/* The last stage, in the order of the first frequency of each butterfly; they are an even number. */
KMTL_INLINE void last_of_four(const uint32_t *in, const uint16_t *order, uint32_t *out, uint32_t points, uint32_t halved) {
  const uint32_t quarter = points / 4u;
  const uint32_t *const end = &in[quarter];

  do {
    last_butterfly(&in[0], &out[8u * order[0]], quarter, halved);
    last_butterfly(&in[1], &out[8u * order[1]], quarter, halved);
    in += 2;
    order += 2;
  } while (in < end);
}

/* Keeps a sum from being taken apart again by the compiler, which would take more instructions. */
#if KMTL_DSP
#define KMTL_WHOLE(value) __asm__("" : "+r"(value))
#else
#define KMTL_WHOLE(value) (void)(value)
#endif

/* (re * re) / 2^32 + (im * im) / 2^32, both rounded. */
KMTL_INLINE uint32_t power_of(uint32_t re, uint32_t im) {
#if KMTL_DSP
  uint32_t power;
  __asm__("smmulr %0, %1, %1" : "=r"(power) : "r"(re));
  __asm__("smmlar %0, %1, %1, %0" : "+r"(power) : "r"(im));
  return power;
#elif KMTL_SHORT_PRODUCTS
  return upper_square(re) + upper_square(im);
#else
  const int64_t r = (int32_t)re;
  const int64_t i = (int32_t)im;
  return (uint32_t)(((r * r) + 0x80000000) >> 32) + (uint32_t)(((i * i) + 0x80000000) >> 32);
#endif
}

/* Keeps a sum from being taken apart again by the compiler, which would take more instructions. */
#if KMTL_DSP
#define KMTL_WHOLE(value) __asm__("" : "+r"(value))
#else
#define KMTL_WHOLE(value) (void)(value)
#endif

/* A number of the spectrum of pairs of samples, and its mirror image, to the powers of a bin of the real spectrum and of
 * its mirror image. What is squared is the doubled spectrum of 2^13, whose largest number, -2^31 or 2^31, has the same
 * square as either. */
KMTL_INLINE void split_bin(uint32_t at_re, uint32_t at_im, uint32_t mirror_re, uint32_t mirror_im, const uint32_t *turn,
                           uint32_t *up, uint32_t *down) {
  const uint32_t cosine = turn[0];
  const uint32_t sine = turn[1];
  const uint32_t even_re = at_re + mirror_re;
  const uint32_t even_im = at_im - mirror_im;
  const uint32_t odd_re = at_re - mirror_re;
  const uint32_t odd_im = at_im + mirror_im;
  uint32_t re = (odd_im * cosine) - (odd_re * sine);
  uint32_t im = (odd_re * cosine) + (odd_im * sine);
  KMTL_WHOLE(re);
  KMTL_WHOLE(im);
  *down = power_of((even_re << 13) - re, (even_im << 13) + im);
  *up = power_of((even_re << 13) + re, (even_im << 13) - im);
}

/* All bins, [points + 1]: eight at a time, of two fours of frequencies that are each other's mirror image. */
KMTL_INLINE void split_of(const uint32_t *in, const uint32_t *turns, uint32_t *power, uint32_t points) {
  const uint32_t quarter = points / 4u;
  const uint32_t *mirror = &in[(2u * points) - 2u];
  const uint32_t *turns_down = &turns[2u * quarter];
  uint32_t *down = &power[quarter];
  const uint32_t *const end = &power[quarter / 2u];

  split_bin(in[0], in[1], in[0], in[1], &turns[0], &power[0], &power[points]);
  split_bin(in[2], in[3], in[6], in[7], &turns[2u * quarter], &power[quarter], &power[3u * quarter]);
  split_bin(in[4], in[5], in[4], in[5], &turns[4u * quarter], &power[2u * quarter], &power[2u * quarter]);
  in += 8;
  do {
    uint32_t re, im, mirror_re, mirror_im;
    turns += 2;
    turns_down -= 2;
    power++;
    down--;
    in = fetched(in, &re, &im);
    mirror = fetched_down(mirror, &mirror_re, &mirror_im);
    split_bin(re, im, mirror_re, mirror_im, &turns[0], &power[0], &down[3u * quarter]);
    in = fetched(in, &re, &im);
    mirror = fetched_down(mirror, &mirror_re, &mirror_im);
    split_bin(re, im, mirror_re, mirror_im, &turns[2u * quarter], &power[quarter], &down[2u * quarter]);
    in = fetched(in, &re, &im);
    mirror = fetched_down(mirror, &mirror_re, &mirror_im);
    split_bin(mirror_re, mirror_im, re, im, &turns_down[2u * quarter], &down[quarter], &power[2u * quarter]);
    in = fetched(in, &re, &im);
    mirror = fetched_down(mirror, &mirror_re, &mirror_im);
    split_bin(mirror_re, mirror_im, re, im, &turns_down[0], &down[0], &power[3u * quarter]);
  } while (power < end);
}

/* Level of a sum of powers, in steps; `scale` is what a sum of 2^31 has, of 2^6. */
KMTL_INLINE int32_t level_of(const uint16_t *logarithms, uint64_t sum, int32_t scale, int32_t floor) {
  uint32_t upper = (uint32_t)(sum >> 32);
  uint32_t lower = (uint32_t)sum;
  uint32_t places;
  int32_t steps;

  if (upper != 0u) {
    scale += 32 * STEPS_PER_OCTAVE;
  } else {
    upper = lower;
    lower = 0u;
    if (upper == 0u) {
      return floor;
    }
  }
  places = zeros_above(upper);
  upper = (upper << places) | ((lower >> 1) >> (31u ^ places));
  steps = (scale - (int32_t)(places * STEPS_PER_OCTAVE) + logarithms[(upper >> 23) & 0xFFu]) >> 6;
  return (steps > floor) ? steps : floor;
}

/* Adds up the powers of the bins from one to another, as they are, of 2^15, and onto what was there before, and apart
 * times what rises there. */
typedef struct {
  uint64_t all;
  uint64_t rises;
} sums_t;

#if KMTL_DSP
/* The compiler takes more instructions for a product that is added up, and for one by a power of 2. */
#define KMTL_ADD_BIN \
  __asm__("ldr %[power], [%[at]], #4\n\t" \
          "ldrh %[weight], [%[rising]], #2\n\t" \
          "umlal %[lower], %[upper], %[power], %[one]\n\t" \
          "umlal %[rises_lower], %[rises_upper], %[power], %[weight]" \
          : [at] "+r"(at), [rising] "+r"(*rising), [power] "=&r"(power), [weight] "=&r"(weight), [lower] "+r"(lower), \
            [upper] "+r"(upper), [rises_lower] "+r"(rises_lower), [rises_upper] "+r"(rises_upper) \
          : [one] "r"(one) \
          : "memory")

KMTL_INLINE sums_t sums_of(uint64_t before, const uint32_t *at, const uint32_t *end, const uint16_t **rising) {
  const uint32_t one = 0x8000u;
  uint32_t lower = (uint32_t)before;
  uint32_t upper = (uint32_t)(before >> 32);
  uint32_t rises_lower = 0u;
  uint32_t rises_upper = 0u;
  uint32_t power, weight;
  sums_t sums;

  if ((((uint32_t)(end - at)) & 1u) != 0u) {
    KMTL_ADD_BIN;
  }
  while (at != end) {
    KMTL_ADD_BIN;
    KMTL_ADD_BIN;
  }
  sums.all = ((uint64_t)upper << 32) | lower;
  sums.rises = ((uint64_t)rises_upper << 32) | rises_lower;
  return sums;
}
#else
KMTL_INLINE sums_t sums_of(uint64_t before, const uint32_t *at, const uint32_t *end, const uint16_t **rising) {
  sums_t sums = {0u, 0u};

  while (at < end) {
#if KMTL_SHORT_PRODUCTS
    sums.rises += ((uint64_t)((*at >> 16) * **rising) << 16) + ((*at & 0xFFFFu) * **rising);
#else
    sums.rises += (uint64_t)*at * **rising;
#endif
    sums.all += *at;
    at++;
    (*rising)++;
  }
  sums.all = before + (sums.all << 15);
  return sums;
}
#endif

/* Powers of the bins to levels of the bands. Where one band falls the next one rises, and the two weights sum to 1: a
 * band has what rose before, and all of the bins where it falls less what rises there. */
KMTL_APART void to_levels(const kmtl_log_mel_fixed_t *tables, const uint32_t *power, uint32_t bands, int32_t exponent,
                          float *levels_db) {
  const int32_t scale = tables->offset - (2 * STEPS_PER_OCTAVE * exponent) + (31 * STEPS_PER_OCTAVE);
  const uint16_t *rising = tables->rising;
  const uint16_t *segment = tables->segments;
  const float *const end = &levels_db[bands];
  const uint32_t *at = &power[segment[1]];
  uint64_t before = sums_of(0u, &power[segment[0]], at, &rising).rises;

  segment++;
  do {
    const uint32_t *const next = &power[*++segment];
    const sums_t sums = sums_of(before, at, next, &rising);
    *levels_db = (float)level_of(tables->logarithms, sums.all - sums.rises, scale, tables->floor) *
                 (1.0f / (float)KMTL_LOG_MEL_STEPS_PER_DB);
    levels_db++;
    before = sums.rises;
    at = next;
  } while (levels_db < end);
}

/* The same, each with all registers to itself, and with distances that are known when it is compiled where the length is
 * the usual one and the core has registers enough. */
#define KMTL_OF_LENGTH(call, points) \
  if (KMTL_DSP && ((points) == 1024u)) { \
    call(1024u); \
  } else { \
    call(points); \
  }

KMTL_APART uint32_t room(const kmtl_log_mel_fixed_t *tables, const uint32_t *samples, uint32_t points, uint32_t radix) {
#define KMTL_ROOM(length) return room_of(tables, samples, length, radix)
  KMTL_OF_LENGTH(KMTL_ROOM, points)
}

KMTL_APART void first_stage(const kmtl_log_mel_fixed_t *tables, const uint32_t *in, uint32_t *out, uint32_t points,
                            uint32_t radix, uint32_t shift, uint32_t *found) {
#define KMTL_FIRST_OF_FOUR(length) first_of_four(tables, in, out, length, shift, found)
  if (radix == 2u) {
    first_of_two(tables, in, out, points, shift, found);
  } else {
    KMTL_OF_LENGTH(KMTL_FIRST_OF_FOUR, points)
  }
}

#define KMTL_STAGE(name, losing) \
  KMTL_APART void name(const uint32_t *in, const uint32_t *turns, uint32_t *out, uint32_t points, uint32_t run, \
                       uint32_t *found) { \
    if (KMTL_DSP && (points == 1024u)) { \
      stage(in, turns, out, 1024u, run, losing, found); \
    } else { \
      stage(in, turns, out, points, run, losing, found); \
    } \
  }
KMTL_STAGE(stage_losing_0, 0u)
KMTL_STAGE(stage_losing_1, 1u)
KMTL_STAGE(stage_losing_2, 2u)
KMTL_STAGE(stage_losing_3, 3u)

KMTL_APART void last_stage(const uint32_t *in, const uint16_t *order, uint32_t *out, uint32_t points, uint32_t halved) {
#define KMTL_LAST_WHOLE(length) last_of_four(in, order, out, length, 0u)
#define KMTL_LAST_HALVED(length) last_of_four(in, order, out, length, 1u)
  if (halved == 0u) {
    KMTL_OF_LENGTH(KMTL_LAST_WHOLE, points)
  } else {
    KMTL_OF_LENGTH(KMTL_LAST_HALVED, points)
  }
}

KMTL_APART void split(const uint32_t *in, const uint32_t *turns, uint32_t *power, uint32_t points) {
#define KMTL_SPLIT(length) split_of(in, turns, power, length)
  KMTL_OF_LENGTH(KMTL_SPLIT, points)
}

void kmtl_log_mel_fixed(const kmtl_log_mel_fixed_t *tables, uint32_t fft, uint32_t bands, uint32_t *scratch,
                        float *levels_db) {
  const uint32_t points = fft / 2u;
  const uint32_t radix = ((size_of(points) % 2u) == 0u) ? 4u : 2u;
  const uint32_t shift = room(tables, scratch, points, radix);
  /* Stages go to and fro between two places, so that the last one begins where the spectrum is not. */
  const uint32_t back = ((size_of(points / radix) % 4u) == 0u) ? points : 0u;
  uint32_t *const spectrum = &scratch[fft];
  uint32_t *in = &scratch[points + back];
  uint32_t *out = &scratch[fft - back];
  /* Sums of more than 16 bits are turned by factors of one bit less. */
  const uint32_t coarse = (points / radix) - 4u;
  const uint32_t *turns = tables->twiddles;
  int32_t exponent = (int32_t)shift - 2;
  uint32_t run, lost;
  uint32_t found[4];

  first_stage(tables, scratch, in, points, radix, shift, found);
  for (run = radix; run < (points / 4u); run *= 4u) {
    uint32_t *const made = out;
    lost = scaling(found);
    if (lost == 0u) {
      stage_losing_0(in, turns, out, points, run, found);
    } else if (lost == 1u) {
      stage_losing_1(in, turns, out, points, run, found);
    } else if (lost == 2u) {
      stage_losing_2(in, &turns[coarse], out, points, run, found);
    } else {
      stage_losing_3(in, &turns[coarse], out, points, run, found);
    }
    exponent -= (int32_t)lost;
    out = in;
    in = made;
    turns += 3u * (points / (4u * run));
  }
  lost = (scaling(found) < 3u) ? 0u : 1u;
  last_stage(in, tables->order, spectrum, points, lost);
  /* The powers take the place of the samples, and are those of the doubled spectrum. */
  split(spectrum, tables->split, scratch, points);
  to_levels(tables, scratch, bands, exponent + 1 - (int32_t)lost, levels_db);
}
