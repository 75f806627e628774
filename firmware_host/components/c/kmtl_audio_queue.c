/* Blocks of samples from an interrupt to the program below it; see kmtl_audio_queue.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_audio_queue.h"

#include <stddef.h>

/* Samples must lie in memory before the count that tells of them, and be read before the count that gives them back. */
#if defined(__GNUC__)
#define KMTL_IN_ORDER() __sync_synchronize()
#else
#define KMTL_IN_ORDER() ((void)0)
#endif

void kmtl_audio_queue_init(kmtl_audio_queue_t *self, int16_t *samples, uint32_t block, uint32_t blocks) {
  self->samples = samples;
  self->block = block;
  self->blocks = blocks;
  self->written = 0u;
  self->taken = 0u;
  self->lost = 0u;
}

int16_t *kmtl_audio_queue_room(kmtl_audio_queue_t *self) {
  if ((self->written - self->taken) >= self->blocks) {
    self->lost++;
    return NULL;
  }
  return &self->samples[(size_t)(self->written % self->blocks) * self->block];
}

void kmtl_audio_queue_filled(kmtl_audio_queue_t *self) {
  KMTL_IN_ORDER();
  self->written++;
}

const int16_t *kmtl_audio_queue_oldest(const kmtl_audio_queue_t *self) {
  if (self->written == self->taken) {
    return NULL;
  }
  KMTL_IN_ORDER();
  return &self->samples[(size_t)(self->taken % self->blocks) * self->block];
}

void kmtl_audio_queue_done(kmtl_audio_queue_t *self) {
  KMTL_IN_ORDER();
  self->taken++;
}

uint32_t kmtl_audio_queue_lost(const kmtl_audio_queue_t *self) { return self->lost; }
