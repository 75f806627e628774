/* Log-mel front end: samples in, one frame of log-mel in dB a hop out, as the network was trained on.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Frame t is centred at sample t * hop, with zeros before the first sample and after the last one. It is ready as soon
 * as its window's last sample is there: about half a window, (window + 1) / 2 samples, after its centre.
 *
 * There are two ways to compute it, by KMTL_LOG_MEL_FIXED: in float32 (kmtl_log_mel_float.h), and in integers
 * (kmtl_log_mel_fixed.h). Define it alike for all that includes this header; left out, it is 1 on Arm cores without a
 * floating-point unit, else 0.
 *
 * All memory is the caller's: the state, the history
 * (kept between calls) and the scratch (used only within kmtl_log_mel_frame: several front ends may share it, and what
 * else is not needed then; not TFLM's arena, which keeps its tensors). Generated tables and sizes:
 * kmtl_log_mel_tables.h.
 *
 *   static kmtl_log_mel_sample_t history[KMTL_LOG_MEL_WINDOW];
 *   static kmtl_log_mel_scratch_t scratch[KMTL_LOG_MEL_SCRATCH];
 *   static float levels[KMTL_LOG_MEL_BANDS];
 *   static kmtl_log_mel_t front_end;
 *   kmtl_log_mel_init(&front_end, &kmtl_log_mel_tables, history, scratch);
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

#ifndef KMTL_LOG_MEL_FIXED
#if defined(__arm__) && !defined(__ARM_FP)
#define KMTL_LOG_MEL_FIXED 1
#else
#define KMTL_LOG_MEL_FIXED 0
#endif
#endif

#if KMTL_LOG_MEL_FIXED
#include "kmtl_log_mel_fixed.h"
#else
#include "kmtl_log_mel_float.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if KMTL_LOG_MEL_FIXED
typedef int16_t kmtl_log_mel_sample_t;
typedef uint32_t kmtl_log_mel_scratch_t;
#else
typedef float kmtl_log_mel_sample_t;
typedef float kmtl_log_mel_scratch_t;
#endif

/* Settings and tables of one kind of features; constant, made by keras_mtl. Two models with other features have two. */
typedef struct {
  uint32_t sample_rate_hz;
  uint16_t window; /* samples of the window */
  uint16_t fft;    /* points of the FFT: a power of two from 32 to 4096 */
  uint16_t hop;    /* samples from one frame to the next */
  uint16_t bands;  /* mel bands, at least 1 */
  bool keep_last_frame; /* whether the frame centred on the end of a clip is kept */
#if KMTL_LOG_MEL_FIXED
  kmtl_log_mel_fixed_t fixed;
#else
  kmtl_log_mel_float_t exact;
#endif
} kmtl_log_mel_tables_t;

/* State of a front end. Its fields are its own. */
typedef struct {
  const kmtl_log_mel_tables_t *tables;
  kmtl_log_mel_sample_t *history;
  kmtl_log_mel_scratch_t *scratch;
  uint32_t oldest;   /* place in the history of the oldest sample */
  uint32_t missing;  /* samples until the next frame is ready; 0: it is */
  uint32_t in_hop;   /* samples since the last whole hop */
  int32_t due;       /* frames that a clip of the samples so far has, less those that were given */
  bool ended;        /* whether zeros are being pushed after the end of a clip */
} kmtl_log_mel_t;

/* Begins: a clip, or a stream without end.
 * tables   generated settings; must outlive the state.
 * history  [window], kept between calls.
 * scratch  [2 * fft], free between calls. As aligned as a float is. */
void kmtl_log_mel_init(kmtl_log_mel_t *self, const kmtl_log_mel_tables_t *tables, kmtl_log_mel_sample_t *history,
                       kmtl_log_mel_scratch_t *scratch);

/* Begins anew, with zeros before the next sample. */
void kmtl_log_mel_reset(kmtl_log_mel_t *self);

/* Takes samples, full scale being 32768, until a frame is ready or all are taken. Returns how many it took; 0 while a
 * frame is ready and was not fetched. */
size_t kmtl_log_mel_push_int16(kmtl_log_mel_t *self, const int16_t *samples, size_t count);

/* The same with samples in [-1, 1]; in integers they are rounded to 16 bits. */
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
