/* Log-mel front end: samples in, one frame of log-mel in dB a hop out, as the network was trained on.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Frame t is centred at sample t * hop, with zeros before the first sample and after the last one. It is ready as soon
 * as its window's last sample is there: about half a window, (window + 1) / 2 samples, after its centre.
 *
 * The FFT is arm_rfft_fast_f32 of CMSIS-DSP, which must be linked. All memory is the caller's: the state, the history
 * (kept between calls) and the scratch (used only within kmtl_log_mel_frame: several front ends may share it, and what
 * else is not needed then; not TFLM's arena, which keeps its tensors). Generated tables and sizes:
 * kmtl_log_mel_tables.h.
 *
 *   static float history[KMTL_LOG_MEL_WINDOW], scratch[KMTL_LOG_MEL_SCRATCH], levels[KMTL_LOG_MEL_BANDS];
 *   static kmtl_log_mel_t front_end;
 *   (void)kmtl_log_mel_init(&front_end, &kmtl_log_mel_tables, history, scratch);
 *   while (count > 0u) {
 *     const size_t taken = kmtl_log_mel_push_int16(&front_end, samples, count);
 *     samples += taken;
 *     count -= taken;
 *     if (kmtl_log_mel_ready(&front_end)) {
 *       kmtl_log_mel_frame(&front_end, levels);
 *       kmtl_log_mel_quantize_int8(levels, KMTL_LOG_MEL_BANDS, INPUT_PER_DB, INPUT_AT_0_DB, row);
 *     }
 *   }
 */
#ifndef KMTL_LOG_MEL_H_
#define KMTL_LOG_MEL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsp/transform_functions.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Settings and tables of one kind of features; constant, made by keras_mtl. Two models with other features have two. */
typedef struct {
  uint32_t sample_rate_hz;
  uint16_t window; /* samples of the window */
  uint16_t fft;    /* points of the FFT: a power of two from 32 to 4096 */
  uint16_t hop;    /* samples from one frame to the next */
  uint16_t bands;  /* mel bands, at least 1 */
  float floor;     /* least power: what is below is raised to it */
  bool keep_last_frame; /* whether the frame centred on the end of a clip is kept */
  /* First half of the window, which is symmetric about window / 2: [window / 2 + 1]. */
  const float *half_window;
  /* Between mel edges s and s + 1 lie the bins from segments[s] on, up to segments[s + 1]: [bands + 2]. */
  const uint16_t *segments;
  /* Of each of these bins the weight in the band that rises there; 1 minus it is that in the band that falls. From bin
   * segments[0] on: [segments[bands + 1] - segments[0]]. */
  const float *rising;
  /* The CMSIS-DSP function for this length, as arm_rfft_fast_init_2048_f32: no other length's tables are linked then. */
  arm_status (*init_fft)(arm_rfft_fast_instance_f32 *fft);
} kmtl_log_mel_tables_t;

/* State of a front end. Its fields are its own. */
typedef struct {
  const kmtl_log_mel_tables_t *tables;
  float *history;
  float *scratch;
  arm_rfft_fast_instance_f32 fft;
  uint32_t oldest;   /* place in the history of the oldest sample */
  uint32_t missing;  /* samples until the next frame is ready; 0: it is */
  uint32_t in_hop;   /* samples since the last whole hop */
  int32_t due;       /* frames that a clip of the samples so far has, less those that were given */
  bool ended;        /* whether zeros are being pushed after the end of a clip */
} kmtl_log_mel_t;

/* Begins: a clip, or a stream without end.
 * tables   generated settings; must outlive the state.
 * history  [window] floats, kept between calls.
 * scratch  [2 * fft] floats, free between calls. As aligned as a float is; 16 bytes are faster on cores with Helium.
 * Returns false where CMSIS-DSP has no FFT of this length. */
bool kmtl_log_mel_init(kmtl_log_mel_t *self, const kmtl_log_mel_tables_t *tables, float *history, float *scratch);

/* Begins anew, with zeros before the next sample. */
void kmtl_log_mel_reset(kmtl_log_mel_t *self);

/* Takes samples, full scale being 32768, until a frame is ready or all are taken. Returns how many it took; 0 while a
 * frame is ready and was not fetched. */
size_t kmtl_log_mel_push_int16(kmtl_log_mel_t *self, const int16_t *samples, size_t count);

/* The same with samples in [-1, 1]. */
size_t kmtl_log_mel_push_float(kmtl_log_mel_t *self, const float *samples, size_t count);

/* Whether a frame is ready. */
bool kmtl_log_mel_ready(const kmtl_log_mel_t *self);

/* Computes the frame that is ready: log-mel in dB, [bands], 10 * log10(max(power, floor)). */
void kmtl_log_mel_frame(kmtl_log_mel_t *self, float *levels_db);

/* Ends a clip: pushes zeros until its next frame is ready. Call it, and kmtl_log_mel_frame, until it returns false: the
 * clip has then had all its frames, one for each whole hop (and the last one where it is kept), and the state is as
 * after kmtl_log_mel_reset. */
bool kmtl_log_mel_finish(kmtl_log_mel_t *self);

/* Log-mel in dB as the network's input: clamp(round(dB * per_db + at_0_db)), halves to even. The two numbers are
 * INPUT_PER_DB and INPUT_AT_0_DB of model_settings.h: normalisation and quantization in one step. */
void kmtl_log_mel_quantize_int8(const float *levels_db, size_t count, float per_db, float at_0_db, int8_t *out);
void kmtl_log_mel_quantize_int16(const float *levels_db, size_t count, float per_db, float at_0_db, int16_t *out);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_LOG_MEL_H_ */
