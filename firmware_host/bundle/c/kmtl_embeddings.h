/* The newest embeddings of a stream: a ring that gives its last ones in a row, as networks read them.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * The ring turns in place when what is asked for lies over its end, so no second copy is needed. */
#ifndef KMTL_EMBEDDINGS_H_
#define KMTL_EMBEDDINGS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A ring. Its fields are its own. */
typedef struct {
  uint8_t *memory;
  size_t bytes;  /* of one embedding */
  uint16_t size; /* embeddings that it holds */
  uint16_t held;
  uint16_t next; /* place of the next one; when the ring is full, that of the oldest */
} kmtl_embeddings_t;

/* Begins with none. memory: [size] embeddings of so many bytes, kept between calls, aligned as an element. */
void kmtl_embeddings_init(kmtl_embeddings_t *self, void *memory, uint16_t size, size_t bytes);

/* Begins anew. */
void kmtl_embeddings_reset(kmtl_embeddings_t *self);

/* Takes one embedding in the place of the oldest. */
void kmtl_embeddings_push(kmtl_embeddings_t *self, const void *embedding);

/* The last `count` embeddings, the oldest first; as many must have come, and fit. Valid until the next call. */
const void *kmtl_embeddings_last(kmtl_embeddings_t *self, uint16_t count);

/* One embedding, the newest for `before` 0, the one before it for 1, ...; as many must have come, and fit. Nothing turns. */
const void *kmtl_embeddings_at(const kmtl_embeddings_t *self, uint16_t before);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_EMBEDDINGS_H_ */
