/* Log-mel of one frame in integers; kmtl_log_mel.h uses it.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * A real FFT of 16 bits with one exponent a frame (block floating point), powers of 32 bits, sums of 64, and a logarithm
 * from a table. With the DSP instructions of Armv7E-M and Armv8-M where the compiler says that the core has them, in
 * plain C elsewhere: the same integers everywhere, and in Python (firmware_host/device/fixed_log_mel.py). Right-shifts
 * of negative numbers must keep their sign, and bytes be in little-endian order, as on every Cortex-M. */
#ifndef KMTL_LOG_MEL_FIXED_H_
#define KMTL_LOG_MEL_FIXED_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Steps of a level in a dB. */
#define KMTL_LOG_MEL_STEPS_PER_DB 256

/* Generated tables. Pairs of 16-bit integers, the first one in the lower half. points is fft / 2, and radix that of the
 * first stage: 4 where points is a power of 4, else 2. */
typedef struct {
  const uint32_t *first;      /* of each butterfly of the first stage the weights of its samples, of at most 2^15, as it
                               * reads them, cosine and sine of 2^15 of its results but the first */
  const uint16_t *heaviest;   /* [min(32, points / 4)], the largest weight in each part of the frame, and 1 */
  const uint32_t *twiddles;   /* cosine and sine of the further stages in turn, first of 2^15, then of 2^14 */
  const uint16_t *order;      /* [points / 4], the frequency of the first result of each butterfly of the last stage */
  const uint32_t *split;      /* [points / 2 + 1][2], cosine and sine of 2 pi k / fft, of 2^13 */
  const uint16_t *segments;   /* [bands + 2], the first bin at or above each mel edge */
  const uint16_t *rising;     /* weight of each bin in the band that rises there, of 2^15 */
  const uint16_t *logarithms; /* [256], steps of 1 + (k + 1 / 2) / 256, of 2^6 */
  int32_t offset;             /* steps of the scale between these integers and a power, of 2^6 */
  int16_t floor;              /* least level, in steps */
} kmtl_log_mel_fixed_t;

/* scratch  [2 * fft]: the first [fft / 2] hold the samples, pairs of 16 bits, in the middle of the FFT.
 * levels   [bands], in dB: whole steps. */
void kmtl_log_mel_fixed(const kmtl_log_mel_fixed_t *tables, uint32_t fft, uint32_t bands, uint32_t *scratch,
                        float *levels_db);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_LOG_MEL_FIXED_H_ */
