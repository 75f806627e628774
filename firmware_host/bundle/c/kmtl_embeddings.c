/* Ring of embeddings; see kmtl_embeddings.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_embeddings.h"

#include <string.h>

/* Tells the compiler what was looked at: a copy of 4 bytes is then one instruction on every core. */
#if defined(__GNUC__)
#define KMTL_ALIGNED(at) __builtin_assume_aligned((at), 4)
#else
#define KMTL_ALIGNED(at) (at)
#endif

static void reverse(uint8_t *memory, size_t count) {
  size_t k;

  for (k = 0u; k < (count / 2u); k++) {
    const uint8_t other = memory[count - 1u - k];
    memory[count - 1u - k] = memory[k];
    memory[k] = other;
  }
}

/* The same by words, which keep their bytes: all that is turned lies at multiples of 4 bytes. */
static void reverse_words(uint8_t *memory, size_t count) {
  uint8_t *low = memory;
  uint8_t *high = memory + count;

  while ((low + 4) < high) {
    uint32_t first, last;
    high -= 4;
    (void)memcpy(&first, KMTL_ALIGNED(low), 4u);
    (void)memcpy(&last, KMTL_ALIGNED(high), 4u);
    (void)memcpy(KMTL_ALIGNED(low), &last, 4u);
    (void)memcpy(KMTL_ALIGNED(high), &first, 4u);
    low += 4;
  }
}

/* Turns a full ring so that the last `count` come first: both parts backwards, then the whole. What is pushed next goes
 * behind them, so that the ring need not be turned again until it is full once more. */
static void turn(kmtl_embeddings_t *self, uint16_t count) {
  const size_t older = (((size_t)self->next + self->size) - count) % self->size * self->bytes;
  const size_t all = self->size * self->bytes;

  if ((((uintptr_t)self->memory | self->bytes) & 3u) == 0u) {
    reverse_words(self->memory, older);
    reverse_words(&self->memory[older], all - older);
    reverse_words(self->memory, all);
  } else {
    reverse(self->memory, older);
    reverse(&self->memory[older], all - older);
    reverse(self->memory, all);
  }
  self->next = (uint16_t)(count % self->size);
}

void kmtl_embeddings_init(kmtl_embeddings_t *self, void *memory, uint16_t size, size_t bytes) {
  self->memory = (uint8_t *)memory;
  self->size = size;
  self->bytes = bytes;
  kmtl_embeddings_reset(self);
}

void kmtl_embeddings_reset(kmtl_embeddings_t *self) {
  self->held = 0u;
  self->next = 0u;
}

void kmtl_embeddings_push(kmtl_embeddings_t *self, const void *embedding) {
  (void)memcpy(&self->memory[self->next * self->bytes], embedding, self->bytes);
  self->next = (uint16_t)((self->next + 1u) % self->size);
  if (self->held < self->size) {
    self->held++;
  }
}

const void *kmtl_embeddings_last(kmtl_embeddings_t *self, uint16_t count) {
  size_t end;

  if ((self->next != 0u) && (self->next < count)) {
    turn(self, count);
  }
  end = (self->next == 0u) ? self->size : self->next;
  return &self->memory[(end - count) * self->bytes];
}

const void *kmtl_embeddings_at(const kmtl_embeddings_t *self, uint16_t before) {
  const uint32_t place = (uint32_t)self->next + self->size - 1u - before;

  return &self->memory[(place % self->size) * self->bytes];
}
