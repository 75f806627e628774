/* Log-mel of one frame in float32; see kmtl_log_mel_float.h. The same FFT as in kmtl_log_mel_fixed.c.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_log_mel_float.h"

#include <string.h>

/* a * b + c in one instruction where the core has it. */
#if defined(__GNUC__) && defined(__FP_FAST_FMAF)
#define KMTL_MULTIPLY_ADD(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define KMTL_MULTIPLY_ADD(a, b, c) (((a) * (b)) + (c))
#endif

/* dB of a doubled power. */
#define DB_PER_OCTAVE (3.01029995664f)

typedef struct {
  float re;
  float im;
} complex_t;

static inline complex_t plus(complex_t a, complex_t b) {
  const complex_t sum = {a.re + b.re, a.im + b.im};
  return sum;
}

static inline complex_t minus(complex_t a, complex_t b) {
  const complex_t difference = {a.re - b.re, a.im - b.im};
  return difference;
}

/* a + j b and a - j b. */
static inline complex_t plus_turned(complex_t a, complex_t b) {
  const complex_t sum = {a.re - b.im, a.im + b.re};
  return sum;
}

static inline complex_t minus_turned(complex_t a, complex_t b) {
  const complex_t sum = {a.re + b.im, a.im - b.re};
  return sum;
}

/* a * (cosine - j sine). */
static inline complex_t turned(complex_t a, const float *turn) {
  const complex_t result = {KMTL_MULTIPLY_ADD(a.re, turn[0], a.im * turn[1]),
                            KMTL_MULTIPLY_ADD(-a.re, turn[1], a.im * turn[0])};
  return result;
}

static inline complex_t weighted(complex_t a, const float *weights) {
  const complex_t result = {a.re * weights[0], a.im * weights[1]};
  return result;
}

/* Windows the samples and takes the first stage, of radix 4. */
static void first_of_four(const float *factors, const complex_t *in, complex_t *out, uint32_t points) {
  const uint32_t quarter = points / 4u;
  const complex_t *const end = &in[quarter];

  while (in < end) {
    const complex_t a = weighted(in[0], &factors[0]);
    const complex_t b = weighted(in[quarter], &factors[2]);
    const complex_t c = weighted(in[2u * quarter], &factors[4]);
    const complex_t d = weighted(in[3u * quarter], &factors[6]);
    const complex_t even = plus(a, c);
    const complex_t odd = minus(a, c);
    const complex_t sum = plus(b, d);
    const complex_t apart = minus(b, d);
    out[0] = plus(even, sum);
    out[1] = turned(minus_turned(odd, apart), &factors[8]);
    out[2] = turned(minus(even, sum), &factors[10]);
    out[3] = turned(plus_turned(odd, apart), &factors[12]);
    in++;
    out += 4;
    factors += 14;
  }
}

/* The same of radix 2. */
static void first_of_two(const float *factors, const complex_t *in, complex_t *out, uint32_t points) {
  const uint32_t half_way = points / 2u;
  const complex_t *const end = &in[half_way];

  while (in < end) {
    const complex_t a = weighted(in[0], &factors[0]);
    const complex_t b = weighted(in[half_way], &factors[2]);
    out[0] = plus(a, b);
    out[1] = turned(minus(a, b), &factors[4]);
    in++;
    out += 2;
    factors += 6;
  }
}

/* One stage of radix 4. Every stage reads at the same distances and writes four results in a row; `run` butterflies in a
 * row turn alike. */
static void stage(const float *turns, const complex_t *in, complex_t *out, uint32_t points, uint32_t run) {
  const uint32_t quarter = points / 4u;
  const complex_t *const end = &in[quarter];

  while (in < end) {
    const float turn[6] = {turns[0], turns[1], turns[2], turns[3], turns[4], turns[5]};
    const complex_t *const end_of_run = &in[run];
    while (in < end_of_run) {
      const complex_t even = plus(in[0], in[2u * quarter]);
      const complex_t odd = minus(in[0], in[2u * quarter]);
      const complex_t sum = plus(in[quarter], in[3u * quarter]);
      const complex_t apart = minus(in[quarter], in[3u * quarter]);
      out[0] = plus(even, sum);
      out[1] = turned(minus_turned(odd, apart), &turn[0]);
      out[2] = turned(minus(even, sum), &turn[2]);
      out[3] = turned(plus_turned(odd, apart), &turn[4]);
      in++;
      out += 4;
    }
    turns += 6;
  }
}

/* The last stage, which turns nothing: four frequencies in a row that are `points / 4` apart, in the order of the first
 * of them. */
static void last_stage(const uint16_t *order, const complex_t *in, complex_t *out, uint32_t points) {
  const uint32_t quarter = points / 4u;
  const complex_t *const end = &in[quarter];

  while (in < end) {
    const complex_t even = plus(in[0], in[2u * quarter]);
    const complex_t odd = minus(in[0], in[2u * quarter]);
    const complex_t sum = plus(in[quarter], in[3u * quarter]);
    const complex_t apart = minus(in[quarter], in[3u * quarter]);
    complex_t *const to = &out[4u * *order];
    to[0] = plus(even, sum);
    to[1] = minus_turned(odd, apart);
    to[2] = minus(even, sum);
    to[3] = plus_turned(odd, apart);
    in++;
    order++;
  }
}

/* Two numbers of the spectrum of pairs of samples to the powers of a bin of the real spectrum, doubled, and of its mirror
 * image. */
static inline void split_bin(complex_t at, complex_t mirrored, const float *turn, float *up, float *down) {
  const complex_t conjugate = {mirrored.re, -mirrored.im};
  const complex_t even = plus(at, conjugate);
  const complex_t odd = minus(at, conjugate);
  const float re = KMTL_MULTIPLY_ADD(odd.im, turn[0], -(odd.re * turn[1]));
  const float im = KMTL_MULTIPLY_ADD(odd.im, turn[1], odd.re * turn[0]);
  const complex_t below = {even.re + re, even.im - im};
  const complex_t above = {even.re - re, even.im + im};
  *down = KMTL_MULTIPLY_ADD(above.re, above.re, above.im * above.im);
  *up = KMTL_MULTIPLY_ADD(below.re, below.re, below.im * below.im);
}

/* All bins, [points + 1]: eight at a time, of two fours of frequencies that are each other's mirror image. */
static void split(const float *turns, const complex_t *in, float *power, uint32_t points) {
  const uint32_t quarter = points / 4u;
  const complex_t *mirror = &in[points];
  const float *turns_down = &turns[2u * quarter];
  float *down = &power[quarter];
  const float *const end = &power[quarter / 2u];

  split_bin(in[0], in[0], turns, power, &power[points]);
  split_bin(in[1], in[3], &turns[2u * quarter], &power[quarter], &power[3u * quarter]);
  split_bin(in[2], in[2], &turns[4u * quarter], &power[2u * quarter], &power[2u * quarter]);
  while (power < end) {
    in += 4;
    mirror -= 4;
    turns += 2;
    turns_down -= 2;
    power++;
    down--;
    split_bin(in[0], mirror[3], turns, power, &down[3u * quarter]);
    split_bin(in[1], mirror[2], &turns[2u * quarter], &power[quarter], &down[2u * quarter]);
    split_bin(mirror[1], in[2], &turns_down[2u * quarter], &down[quarter], &power[2u * quarter]);
    split_bin(mirror[0], in[3], turns_down, down, &power[3u * quarter]);
  }
}

/* 10 log10 of a normal number above 0: its exponent, and a polynomial in its mantissa that is within 0.00005 dB. */
static inline float level_of(float power) {
  uint32_t bits;
  float octaves, part;

  (void)memcpy(&bits, &power, sizeof bits);
  octaves = (float)(int32_t)((bits >> 23) - 127u);
  bits = (bits & 0x7FFFFFu) | 0x3F800000u;
  (void)memcpy(&part, &bits, sizeof part);
  part -= 1.0f;
  octaves += part * (1.44196558f +
                     (part * (-0.70966280f + (part * (0.41759571f + (part * (-0.19626956f + (part * 0.04638533f))))))));
  return octaves * DB_PER_OCTAVE;
}

/* Powers of the bins to levels of the bands. Where one band falls the next one rises, and the two weights sum to 1. */
static void to_levels(const kmtl_log_mel_float_t *tables, const float *power, uint32_t bands, float *levels_db) {
  const float *rising = tables->rising;
  const uint16_t *segment = tables->segments;
  const float *at = &power[*segment];
  const float *const levels_end = &levels_db[bands];
  float before = 0.0f;
  uint32_t first = 1u;

  for (;;) {
    const float *const end = &power[segment[1]];
    float rises = 0.0f;
    float falls = before;
    while (at < end) {
      const float weight = *rising;
      const float rise = weight * *at;
      rises += rise;
      falls += *at - rise;
      at++;
      rising++;
    }
    if (first == 0u) {
      /* Written so that what is no number, from samples that are none, lies on the floor. */
      *levels_db = level_of((falls > tables->floor) ? falls : tables->floor);
      levels_db++;
    }
    if (levels_db == levels_end) {
      break;
    }
    first = 0u;
    before = rises;
    segment++;
  }
}

void kmtl_log_mel_float(const kmtl_log_mel_float_t *tables, uint32_t fft, uint32_t bands, float *scratch,
                        float *levels_db) {
  const uint32_t points = fft / 2u;
  const float *turns = tables->twiddles;
  complex_t *in = (complex_t *)(void *)scratch;
  complex_t *out = &in[points];
  uint32_t run = 1u;

  while ((run * 4u) < points) {
    run *= 4u;
  }
  if ((run * 4u) == points) {
    first_of_four(tables->first, in, out, points);
    run = 4u;
  } else {
    first_of_two(tables->first, in, out, points);
    run = 2u;
  }
  for (; run < (points / 4u); run *= 4u) {
    complex_t *const made = out;
    out = in;
    in = made;
    stage(turns, in, out, points, run);
    turns += 6u * (points / (4u * run));
  }
  last_stage(tables->order, out, in, points);
  split(tables->split, in, (float *)(void *)out, points);
  to_levels(tables, (const float *)(const void *)out, bands, levels_db);
}
