/* Log-mel of one frame in integers, for cores without a floating-point unit; kmtl_log_mel.h uses it.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * A real FFT of 16 bits with one exponent a frame (block floating point), powers of 32 bits, sums of 64, and a logarithm
 * from a table. Right-shifts of negative numbers must keep their sign, and bytes be in little-endian order, as on every
 * Cortex-M. The same integers on all cores, and in Python (firmware_host/device/fixed_log_mel.py). */
#ifndef KMTL_LOG_MEL_FIXED_H_
#define KMTL_LOG_MEL_FIXED_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Steps of a level in a dB. */
#define KMTL_LOG_MEL_STEPS_PER_DB 256

/* Generated tables. Pairs of 16-bit integers, the first one in the lower half. */
typedef struct {
  const uint32_t *window;   /* [fft / 2] pairs of weights, of just under 2^14; zeros around the window */
  const uint8_t *fades;     /* [32], bits by which each 32nd part of it is below 1 */
  const uint32_t *twiddles; /* [3 * fft / 8], cosine and sine of 2 pi k / (fft / 2), of 2^15 - 1 */
  const uint32_t *split;    /* [fft / 4 + 1], cosine and sine of 2 pi k / fft, of 2^13 */
  const uint16_t *segments; /* [bands + 2], the first bin at or above each mel edge */
  const uint16_t *rising;   /* weight of each bin in the band that rises there, of 2^15 */
  int32_t offset;           /* log2 of the scale between these integers and a power, of 2^10 */
  int16_t floor;            /* least level, in steps */
} kmtl_log_mel_fixed_t;

/* scratch  [2 * fft]: the first [fft / 2] hold the samples, pairs of 16 bits, in the middle of the FFT.
 * levels   [bands], in steps of 1 / 256 dB. */
void kmtl_log_mel_fixed(const kmtl_log_mel_fixed_t *tables, uint32_t fft, uint32_t bands, uint32_t *scratch,
                        int16_t *levels);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_LOG_MEL_FIXED_H_ */
