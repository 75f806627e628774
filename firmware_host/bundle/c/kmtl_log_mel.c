/* Log-mel front end; see kmtl_log_mel.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_log_mel.h"

#include <string.h>

/* Zeros around the window in the FFT, before it. */
static uint32_t zeros_before(const kmtl_log_mel_tables_t *tables) {
  return ((uint32_t)tables->fft - tables->window) / 2u;
}

/* Samples that can be stored in one piece. */
static uint32_t piece_of(const kmtl_log_mel_t *self, size_t count) {
  const uint32_t in_a_row = self->tables->window - self->oldest;
  const uint32_t most = (self->missing < in_a_row) ? self->missing : in_a_row;
  return (count < most) ? (uint32_t)count : most;
}

/* Counts a piece that was stored. */
static void advance(kmtl_log_mel_t *self, uint32_t count) {
  const kmtl_log_mel_tables_t *const tables = self->tables;
  self->oldest += count;
  if (self->oldest == tables->window) {
    self->oldest = 0u;
  }
  self->missing -= count;
  if (!self->ended) {
    self->in_hop += count;
    while (self->in_hop >= tables->hop) {
      self->in_hop -= tables->hop;
      self->due++;
    }
  }
}

/* Copies samples, 32 bytes at a time where both places are those of words, as memcpy of small libraries does not. */
static void copy(kmtl_log_mel_sample_t *to, const kmtl_log_mel_sample_t *from, uint32_t count) {
#if defined(__GNUC__)
  const uint32_t block = 32u / sizeof(to[0]);
  if (((((uintptr_t)to) | ((uintptr_t)from)) & 3u) == 0u) {
    while (count >= block) {
      (void)memcpy(__builtin_assume_aligned(to, 4), __builtin_assume_aligned(from, 4), 32u);
      to += block;
      from += block;
      count -= block;
    }
  }
#endif
  (void)memcpy(to, from, count * sizeof(to[0]));
}

/* The samples in their order, in the middle of the FFT. */
static void gather(const kmtl_log_mel_t *self, kmtl_log_mel_sample_t *points) {
  const kmtl_log_mel_tables_t *const tables = self->tables;
  const uint32_t window = tables->window;
  const uint32_t before = zeros_before(tables);
  const uint32_t old = window - self->oldest;
  kmtl_log_mel_sample_t *const inside = &points[before];

  (void)memset(points, 0, before * sizeof(points[0]));
  copy(inside, &self->history[self->oldest], old);
  copy(&inside[old], self->history, self->oldest);
  (void)memset(&inside[window], 0, (tables->fft - window - before) * sizeof(points[0]));
}

/* The nearest integer, halves to even, from `lowest`, above -2^22, to `highest`: added to 1.5 * 2^23, a number is rounded
 * by the addition, and its integer lies in the sum's lower bits. What is no number becomes the lowest. */
static int32_t round_and_clamp(float value, int32_t lowest, int32_t highest) {
  const float sum = value + 12582912.0f;
  uint32_t above;

  (void)memcpy(&above, &sum, sizeof above);
  above -= 0x4B400000u + (uint32_t)lowest;
  if (above > (uint32_t)(highest - lowest)) {
    return (value > 0.0f) ? highest : lowest;
  }
  return lowest + (int32_t)above;
}

void kmtl_log_mel_init(kmtl_log_mel_t *self, const kmtl_log_mel_tables_t *tables, kmtl_log_mel_sample_t *history,
                       kmtl_log_mel_scratch_t *scratch) {
  self->tables = tables;
  self->history = history;
  self->scratch = scratch;
  kmtl_log_mel_reset(self);
}

void kmtl_log_mel_reset(kmtl_log_mel_t *self) {
  const kmtl_log_mel_tables_t *const tables = self->tables;

  (void)memset(self->history, 0, tables->window * sizeof(self->history[0]));
  self->oldest = 0u;
  /* The window of frame 0 ends so many samples after its centre, sample 0. */
  self->missing = (zeros_before(tables) + tables->window) - (tables->fft / 2u);
  self->in_hop = 0u;
  self->due = 0;
  self->ended = false;
}

size_t kmtl_log_mel_push_int16(kmtl_log_mel_t *self, const int16_t *samples, size_t count) {
  size_t taken = 0u;

  while ((taken < count) && (self->missing > 0u)) {
    const uint32_t piece = piece_of(self, count - taken);
    kmtl_log_mel_sample_t *const to = &self->history[self->oldest];
#if KMTL_LOG_MEL_FIXED
    (void)memcpy(to, &samples[taken], piece * sizeof(to[0]));
#else
    uint32_t k;
    for (k = 0u; k < piece; k++) {
      to[k] = (float)samples[taken + k] * (1.0f / 32768.0f);
    }
#endif
    advance(self, piece);
    taken += piece;
  }
  return taken;
}

size_t kmtl_log_mel_push_float(kmtl_log_mel_t *self, const float *samples, size_t count) {
  size_t taken = 0u;

  while ((taken < count) && (self->missing > 0u)) {
    const uint32_t piece = piece_of(self, count - taken);
    kmtl_log_mel_sample_t *const to = &self->history[self->oldest];
#if KMTL_LOG_MEL_FIXED
    uint32_t k;
    for (k = 0u; k < piece; k++) {
      to[k] = (int16_t)round_and_clamp(samples[taken + k] * 32768.0f, -32768, 32767);
    }
#else
    (void)memcpy(to, &samples[taken], piece * sizeof(to[0]));
#endif
    advance(self, piece);
    taken += piece;
  }
  return taken;
}

bool kmtl_log_mel_ready(const kmtl_log_mel_t *self) { return self->missing == 0u; }

void kmtl_log_mel_frame(kmtl_log_mel_t *self, float *levels_db) {
  const kmtl_log_mel_tables_t *const tables = self->tables;

#if KMTL_LOG_MEL_FIXED
  gather(self, (kmtl_log_mel_sample_t *)(void *)self->scratch);
  kmtl_log_mel_fixed(&tables->fixed, tables->fft, tables->bands, self->scratch, levels_db);
#else
  gather(self, self->scratch);
  kmtl_log_mel_float(&tables->exact, tables->fft, tables->bands, self->scratch, levels_db);
#endif
  self->missing = tables->hop;
  self->due--;
}

bool kmtl_log_mel_finish(kmtl_log_mel_t *self) {
  if (!self->ended) {
    self->ended = true;
    if (self->tables->keep_last_frame) {
      self->due++;
    }
  }
  if (self->due <= 0) {
    kmtl_log_mel_reset(self);
    return false;
  }
  while (self->missing > 0u) {
    const uint32_t piece = piece_of(self, self->missing);
    (void)memset(&self->history[self->oldest], 0, piece * sizeof(self->history[0]));
    advance(self, piece);
  }
  return true;
}

void kmtl_log_mel_quantize_int8(const float *levels_db, size_t count, float per_db, float at_0_db, int8_t *out) {
  size_t k;

  for (k = 0u; k < count; k++) {
    out[k] = (int8_t)round_and_clamp((levels_db[k] * per_db) + at_0_db, -128, 127);
  }
}

void kmtl_log_mel_quantize_int16(const float *levels_db, size_t count, float per_db, float at_0_db, int16_t *out) {
  size_t k;

  for (k = 0u; k < count; k++) {
    out[k] = (int16_t)round_and_clamp((levels_db[k] * per_db) + at_0_db, -32768, 32767);
  }
}
