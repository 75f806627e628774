/* Log-mel of one frame in float32; kmtl_log_mel.h uses it.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_LOG_MEL_FLOAT_H_
#define KMTL_LOG_MEL_FLOAT_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Generated tables. points is fft / 2, and radix that of the first stage: 4 where points is a power of 4, else 2. */
typedef struct {
  const float *first;       /* of each butterfly of the first stage the halved weights of its samples, zeros around the
                             * window, and cosine and sine of its results but the first */
  const float *twiddles;    /* cosine and sine of the further stages in turn */
  const uint16_t *order;    /* [points / 4], the frequency of the first result of each butterfly of the last stage */
  const float *split;       /* [points / 2 + 1][2], cosine and sine of 2 pi k / fft */
  const uint16_t *segments; /* [bands + 2], the first bin at or above each mel edge */
  const float *rising;      /* weight of each bin in the band that rises there; 1 minus it is that in the one that falls */
  float floor;              /* least power: what is below is raised to it */
} kmtl_log_mel_float_t;

/* scratch  [2 * fft]: the first [fft] hold the samples, in the middle of the FFT.
 * levels   [bands], in dB. */
void kmtl_log_mel_float(const kmtl_log_mel_float_t *tables, uint32_t fft, uint32_t bands, float *scratch,
                        float *levels_db);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_LOG_MEL_FLOAT_H_ */
