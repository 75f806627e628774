/* Ring of embeddings; see kmtl_embeddings.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_embeddings.h"

#include <string.h>

static void reverse(uint8_t *memory, size_t count) {
  size_t k;

  for (k = 0u; k < (count / 2u); k++) {
    const uint8_t other = memory[count - 1u - k];
    memory[count - 1u - k] = memory[k];
    memory[k] = other;
  }
}

/* Turns a full ring so that the oldest comes first: both parts backwards, then the whole. */
static void turn(kmtl_embeddings_t *self) {
  const size_t newer = self->next * self->bytes;
  const size_t all = self->size * self->bytes;

  reverse(self->memory, newer);
  reverse(&self->memory[newer], all - newer);
  reverse(self->memory, all);
  self->next = 0u;
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
    turn(self);
  }
  end = (self->next == 0u) ? self->size : self->next;
  return &self->memory[(end - count) * self->bytes];
}
