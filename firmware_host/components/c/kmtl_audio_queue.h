/* Blocks of samples from an interrupt to the program below it: one writes, one reads, and neither waits.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * For one core without an operating system: two blocks are a double buffer, more bridge a longer turn of the networks.
 * Where there is a system, its own queues do this.
 */
#ifndef KMTL_AUDIO_QUEUE_H_
#define KMTL_AUDIO_QUEUE_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Its fields are its own. Numbers of blocks count on and wrap. */
typedef struct {
  int16_t *samples; /* [blocks * block] */
  uint32_t block;   /* samples of a block */
  uint32_t blocks;  /* a power of two, at least 2 */
  volatile uint32_t written;
  volatile uint32_t taken;
  volatile uint32_t lost;
} kmtl_audio_queue_t;

/* Begins, empty. */
void kmtl_audio_queue_init(kmtl_audio_queue_t *self, int16_t *samples, uint32_t block, uint32_t blocks);

/* The writer: the room for the next block, or NULL where all are full; such a block is counted as lost. */
int16_t *kmtl_audio_queue_room(kmtl_audio_queue_t *self);

/* The writer: the room that it was given last is filled. */
void kmtl_audio_queue_filled(kmtl_audio_queue_t *self);

/* The reader: the oldest block, or NULL where there is none. It stays until kmtl_audio_queue_done. */
const int16_t *kmtl_audio_queue_oldest(const kmtl_audio_queue_t *self);

/* The reader: the oldest block is done with. */
void kmtl_audio_queue_done(kmtl_audio_queue_t *self);

/* Blocks that were lost since the start. */
uint32_t kmtl_audio_queue_lost(const kmtl_audio_queue_t *self);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_AUDIO_QUEUE_H_ */
