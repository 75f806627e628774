/* Log-mel of one frame in integers; see kmtl_log_mel_fixed.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_log_mel_fixed.h"

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#endif

/* Thumb-1 has no product of 64 bits. */
#if defined(__ARM_ARCH_ISA_THUMB) && (__ARM_ARCH_ISA_THUMB == 1)
#define KMTL_SHORT_PRODUCTS 1
#else
#define KMTL_SHORT_PRODUCTS 0
#endif

#define PARTS 32u
/* 10 log10(2), of 2^13. */
#define DB_PER_OCTAVE 24660

/* log2(1 + k / 32), of 2^16. */
static const uint32_t log2_table[33] = {
    0u,     2909u,  5732u,  8473u,  11136u, 13727u, 16248u, 18704u, 21098u, 23433u, 25711u,
    27936u, 30109u, 32234u, 34312u, 36346u, 38336u, 40286u, 42196u, 44068u, 45904u, 47705u,
    49472u, 51207u, 52911u, 54584u, 56229u, 57845u, 59434u, 60997u, 62534u, 64047u, 65536u};

typedef struct {
  int32_t re;
  int32_t im;
} complex_t;

static int32_t low(uint32_t pair) { return (int32_t)(int16_t)(uint16_t)pair; }
static int32_t high(uint32_t pair) { return (int32_t)pair >> 16; }
static uint32_t pack(int32_t first, int32_t second) { return ((uint32_t)second << 16) | ((uint32_t)first & 0xFFFFu); }

/* Bits that differ from the one below them: none above an integer's size. */
static uint32_t edges(uint32_t pair) { return pair ^ (pair << 1); }

/* Place of the highest bit; of 0 it is 0. */
static uint32_t size_of(uint32_t value) {
#if defined(__GNUC__)
  return 31u - (uint32_t)__builtin_clz(value | 1u);
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

/* Bits of the largest of the integers whose edges these are, without its sign. */
static uint32_t bits_of(uint32_t found) {
  return size_of(((found & 0xFFFEu) | ((found >> 16) & 0xFFFEu)) | 1u);
}

/* pair * (cosine - j sine), shifted. */
static inline complex_t turned(uint32_t pair, uint32_t turn, uint32_t shift) {
  complex_t product;
#if defined(__ARM_FEATURE_SIMD32)
  product.re = __smuad((int16x2_t)pair, (int16x2_t)turn) >> shift;
  product.im = __smusdx((int16x2_t)turn, (int16x2_t)pair) >> shift;
#else
  const int32_t re = low(pair);
  const int32_t im = high(pair);
  const int32_t cosine = low(turn);
  const int32_t sine = high(turn);
  product.re = ((re * cosine) + (im * sine)) >> shift;
  product.im = ((im * cosine) - (re * sine)) >> shift;
#endif
  return product;
}

/* Radix-4 butterfly, in place. */
static inline void quarters(complex_t *a, complex_t *b, complex_t *c, complex_t *d) {
  const complex_t even = {a->re + c->re, a->im + c->im};
  const complex_t odd = {a->re - c->re, a->im - c->im};
  const complex_t sum = {b->re + d->re, b->im + d->im};
  const complex_t turn = {b->im - d->im, d->re - b->re};
  a->re = even.re + sum.re;
  a->im = even.im + sum.im;
  b->re = odd.re + turn.re;
  b->im = odd.im + turn.im;
  c->re = even.re - sum.re;
  c->im = even.im - sum.im;
  d->re = odd.re - turn.re;
  d->im = odd.im - turn.im;
}

/* Bits by which the windowed samples may be shifted left. */
static uint32_t room_of(const kmtl_log_mel_fixed_t *tables, const uint32_t *samples, uint32_t points) {
  const uint32_t size = points / PARTS;
  uint32_t least = 15u;
  uint32_t least_faded = 31u;
  uint32_t part;

  for (part = 0u; part < PARTS; part++) {
    const uint32_t *at;
    uint32_t found = 0u;
    uint32_t room;
    /* An FFT of 32 points has parts of half a pair. */
    if (size == 0u) {
      const int32_t sample = ((part % 2u) == 0u) ? low(samples[part / 2u]) : high(samples[part / 2u]);
      found = edges((uint32_t)sample & 0xFFFFu);
    }
    for (at = &samples[part * size]; at < &samples[(part + 1u) * size]; at++) {
      found |= edges(*at);
    }
    room = 15u - bits_of(found);
    least = (room < least) ? room : least;
    room += tables->fades[part];
    least_faded = (room < least_faded) ? room : least_faded;
  }
  /* Four weights add up to 2 at most; each sample alone may be weighted with 1. */
  return (least_faded > (least + 1u)) ? (least_faded - 1u) : least;
}

static inline complex_t windowed(uint32_t pair, uint32_t weights) {
  const complex_t product = {low(pair) * low(weights), high(pair) * high(weights)};
  return product;
}

static inline uint32_t narrow(complex_t sum) { return pack(sum.re >> 15, sum.im >> 15); }

static inline uint32_t lifted(complex_t sum, uint32_t room) {
  const complex_t large = {(int32_t)((uint32_t)sum.re << room) + 0x4000, (int32_t)((uint32_t)sum.im << room) + 0x4000};
  return narrow(large);
}

/* The first of four, which is not turned. What is added to it, to round, comes into all four sums. */
static inline complex_t straight(uint32_t pair, uint32_t shift, int32_t half) {
  const complex_t first = {((int32_t)((uint32_t)low(pair) << 15) >> shift) + half,
                           ((int32_t)((uint32_t)high(pair) << 15) >> shift) + half};
  return first;
}

/* Windows the samples and takes the first stage: of radix 4, or 2 where the points are no power of 4. */
static uint32_t first_stage(const uint32_t *in, const uint32_t *window, uint32_t *out, uint32_t points, uint32_t radix,
                            uint32_t room) {
  const uint32_t rest = points / radix;
  uint32_t found = 0u;
  uint32_t k;

  for (k = 0u; k < rest; k++) {
    complex_t a = windowed(in[k], window[k]);
    complex_t b = windowed(in[k + rest], window[k + rest]);
    uint32_t made;
    if (radix == 4u) {
      complex_t c = windowed(in[k + (2u * rest)], window[k + (2u * rest)]);
      complex_t d = windowed(in[k + (3u * rest)], window[k + (3u * rest)]);
      quarters(&a, &b, &c, &d);
      made = lifted(c, room);
      out[k + (2u * rest)] = made;
      found |= edges(made);
      made = lifted(d, room);
      out[k + (3u * rest)] = made;
      found |= edges(made);
    } else {
      const complex_t sum = {a.re + b.re, a.im + b.im};
      b.re = a.re - b.re;
      b.im = a.im - b.im;
      a = sum;
    }
    made = lifted(a, room);
    out[k] = made;
    found |= edges(made);
    made = lifted(b, room);
    out[k + rest] = made;
    found |= edges(made);
  }
  return found;
}

/* Joins FFTs of `count` points by fours; the shift leaves room for their sum. Returns the edges of what it made. */
static uint32_t stage(const uint32_t *in, const uint32_t *twiddles, uint32_t *out, uint32_t points, uint32_t count,
                      uint32_t shift) {
  const uint32_t rest = points / (4u * count);
  const uint32_t quarter = points / 4u;
  uint32_t found = 0u;
  uint32_t frequency;

  for (frequency = 0u; frequency < count; frequency++) {
    const uint32_t turn_1 = twiddles[frequency * rest];
    const uint32_t turn_2 = twiddles[2u * frequency * rest];
    const uint32_t turn_3 = twiddles[3u * frequency * rest];
    const uint32_t *const end = &in[rest];
    while (in < end) {
      complex_t a = straight(in[0], shift, 0x4000);
      complex_t b = turned(in[rest], turn_1, shift);
      complex_t c = turned(in[2u * rest], turn_2, shift);
      complex_t d = turned(in[3u * rest], turn_3, shift);
      uint32_t made;
      quarters(&a, &b, &c, &d);
      made = narrow(a);
      out[0] = made;
      found |= edges(made);
      made = narrow(b);
      out[quarter] = made;
      found |= edges(made);
      made = narrow(c);
      out[2u * quarter] = made;
      found |= edges(made);
      made = narrow(d);
      out[3u * quarter] = made;
      found |= edges(made);
      in++;
      out++;
    }
    in += 3u * rest;
  }
  return found;
}

static inline void keep(complex_t sum, complex_t *out) {
  out->re = sum.re >> 13;
  out->im = sum.im >> 13;
}

/* The last stage: results of 18 bits. */
static void last_stage(const uint32_t *in, const uint32_t *twiddles, complex_t *out, uint32_t quarter, uint32_t shift) {
  uint32_t k;

  for (k = 0u; k < quarter; k++) {
    complex_t a = straight(in[0], shift, 0x1000);
    complex_t b = turned(in[1], twiddles[k], shift);
    complex_t c = turned(in[2], twiddles[2u * k], shift);
    complex_t d = turned(in[3], twiddles[3u * k], shift);
    quarters(&a, &b, &c, &d);
    keep(a, &out[k]);
    keep(b, &out[k + quarter]);
    keep(c, &out[k + (2u * quarter)]);
    keep(d, &out[k + (3u * quarter)]);
    in += 4;
  }
}

/* (re * re + im * im) / 64; below 2^32 by the bounds of the stages. */
static inline uint32_t power_of(int32_t re, int32_t im) {
#if KMTL_SHORT_PRODUCTS
  const uint32_t r = (uint32_t)((re < 0) ? -re : re);
  const uint32_t i = (uint32_t)((im < 0) ? -im : im);
  const uint32_t r_high = r >> 10, r_low = r & 1023u, i_high = i >> 10, i_low = i & 1023u;
  return (((r_high * r_high) + (i_high * i_high)) << 14) + (((r_high * r_low) + (i_high * i_low)) << 5) +
         (((r_low * r_low) + (i_low * i_low)) >> 6);
#else
  return (uint32_t)((uint64_t)(((int64_t)re * re) + ((int64_t)im * im)) >> 6);
#endif
}

/* The FFT of pairs of samples to the power of each bin of the real spectrum, [points + 1]. */
static void split(const complex_t *in, const uint32_t *turns, uint32_t *power, uint32_t points) {
  uint32_t k;

  for (k = 0u; k <= (points / 2u); k++) {
    const complex_t at = in[k];
    const complex_t mirrored = in[(k == 0u) ? 0u : (points - k)];
    const int32_t even_re = at.re + mirrored.re;
    const int32_t even_im = at.im - mirrored.im;
    const int32_t odd_re = at.re - mirrored.re;
    const int32_t odd_im = at.im + mirrored.im;
    const int32_t cosine = low(turns[k]);
    const int32_t sine = high(turns[k]);
    const int32_t re = ((odd_im * cosine) - (odd_re * sine) + 0x1000) >> 13;
    const int32_t im = ((odd_re * cosine) + (odd_im * sine) + 0x1000) >> 13;
    power[k] = power_of(even_re + re, even_im - im);
    power[points - k] = power_of(even_re - re, even_im + im);
  }
}

static inline uint64_t product(uint32_t power, uint32_t weight) {
#if KMTL_SHORT_PRODUCTS
  return ((uint64_t)((power >> 16) * weight) << 16) + ((power & 0xFFFFu) * weight);
#else
  return (uint64_t)power * weight;
#endif
}

/* log2 of an integer from 1 on, of 2^10. */
static int32_t log2_of(uint64_t value) {
  const uint32_t upper = (uint32_t)(value >> 32);
  const uint32_t whole = (upper != 0u) ? (32u + size_of(upper)) : size_of((uint32_t)value);
  const uint32_t mantissa = (whole >= 31u) ? (uint32_t)(value >> (whole - 31u)) : ((uint32_t)value << (31u - whole));
  const uint32_t place = (mantissa >> 26) & 31u;
  const uint32_t between = (mantissa >> 11) & 0x7FFFu;
  const uint32_t step = log2_table[place + 1u] - log2_table[place];
  return (int32_t)(((whole << 16) + log2_table[place] + ((step * between) >> 15)) >> 6);
}

static int16_t level_of(const kmtl_log_mel_fixed_t *tables, uint64_t sum, int32_t exponent) {
  int32_t steps = tables->floor;

  if (sum != 0u) {
    const int32_t octaves = log2_of(sum) + tables->offset - (2048 * exponent);
    const int32_t found = ((octaves * DB_PER_OCTAVE) + 0x4000) >> 15;
    steps = (found > steps) ? found : steps;
  }
  return (int16_t)steps;
}

void kmtl_log_mel_fixed(const kmtl_log_mel_fixed_t *tables, uint32_t fft, uint32_t bands, uint32_t *scratch,
                        int16_t *levels) {
  const uint32_t points = fft / 2u;
  uint32_t *in = scratch;
  uint32_t *out = &scratch[points];
  complex_t *const spectrum = (complex_t *)(void *)&scratch[fft];
  uint32_t *const power = scratch;
  const uint16_t *rising = tables->rising;
  const uint32_t room = room_of(tables, in, points);
  int32_t exponent = (int32_t)room;
  uint32_t count = ((size_of(points) % 2u) == 0u) ? 4u : 2u;
  uint32_t found = first_stage(in, tables->window, out, points, count, room);
  uint32_t segment;
  uint64_t falls_before = 0u;

  for (;;) {
    const uint32_t bits = bits_of(found);
    const uint32_t shift = (bits > 12u) ? (bits - 12u) : 0u;
    uint32_t *const made = out;
    out = in;
    in = made;
    exponent -= (int32_t)shift;
    if ((4u * count) == points) {
      last_stage(in, tables->twiddles, spectrum, count, shift);
      break;
    }
    found = stage(in, tables->twiddles, out, points, count, shift);
    count *= 4u;
  }
  exponent += 2;
  split(spectrum, tables->split, power, points);
  for (segment = 0u; segment <= bands; segment++) {
    const uint32_t *const end = &power[tables->segments[segment + 1u]];
    const uint32_t *at;
    uint64_t rises = 0u;
    uint64_t all = 0u;
    for (at = &power[tables->segments[segment]]; at < end; at++) {
      rises += product(*at, *rising);
      all += *at;
      rising++;
    }
    if (segment > 0u) {
      levels[segment - 1u] = level_of(tables, falls_before + ((all << 15) - rises), exponent);
    }
    falls_before = rises;
  }
}
