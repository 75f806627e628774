/* Driver of one-step recurrent cells; see kmtl_cells.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_cells.h"

#include <stddef.h>
#include <string.h>

/* Memory as bytes, from an element of so many bytes on. */
static uint8_t *at(void *memory, size_t element, size_t bytes) { return &((uint8_t *)memory)[element * bytes]; }
static const uint8_t *at_const(const void *memory, size_t element, size_t bytes) {
  return &((const uint8_t *)memory)[element * bytes];
}

/* The present layer's input in one step. */
static const void *input_of(const kmtl_cells_walk_t *self, uint32_t step) {
  const kmtl_cells_t *const cells = self->cells;
  const kmtl_cell_t *const cell = cells->layers[self->layer].forward;
  const void *embedding;

  if (self->layer > 0u) {
    return at_const(cells->layers[self->layer - 1u].states, (size_t)step * cell->inputs, cell->input_bytes);
  }
  embedding = self->embedding(self->context, step);
  if (cells->bridge.widen) {
    kmtl_cells_widen(&cells->bridge, (const int8_t *)embedding, cell->inputs, (int16_t *)cells->input);
    return cells->input;
  }
  return embedding;
}

/* Where a step's state lies. The last layer's forward states go out one by one. */
static uint8_t *state_at(const kmtl_cells_walk_t *self, uint32_t step) {
  const kmtl_cells_layer_t *const layer = &self->cells->layers[self->layer];
  const size_t units = layer->forward->units;
  const size_t bytes = layer->forward->state_bytes;

  if ((self->layer + 1u) < self->cells->count) {
    return at(layer->states, ((size_t)step * 2u * units) + (self->backward ? units : 0u), bytes);
  }
  return self->backward ? at(layer->states, (size_t)step * units, bytes) : (uint8_t *)self->cells->states;
}

/* Whether every layer has its two cells, of the same sizes, which share memory. */
static bool has_both_directions(const kmtl_cells_t *self) {
  uint32_t layer;

  for (layer = 0u; layer < self->count; layer++) {
    const kmtl_cell_t *const forward = self->layers[layer].forward;
    const kmtl_cell_t *const backward = self->layers[layer].backward;
    if ((forward == NULL) || (backward == NULL) || (forward->units != backward->units) ||
        (forward->state_bytes != backward->state_bytes)) {
      return false;
    }
  }
  return self->count > 0u;
}

void kmtl_cell_begin(const kmtl_cell_t *cell, void *state) {
  uint32_t k;

  for (k = 0u; k < cell->units; k++) {
    if (cell->state_bytes == 1u) {
      ((int8_t *)state)[k] = (int8_t)cell->state_zero;
    } else {
      ((int16_t *)state)[k] = cell->state_zero;
    }
  }
}

void kmtl_cells_widen(const kmtl_cells_bridge_t *bridge, const int8_t *embeddings, uint32_t count, int16_t *out) {
  /* A product, since C does not define shifts of negative numbers. */
  const int32_t factor = (int32_t)1 << bridge->shift;
  uint32_t k;

  for (k = 0u; k < count; k++) {
    out[k] = (int16_t)(((int32_t)embeddings[k] - bridge->zero) * factor);
  }
}

bool kmtl_cells_walk_begin(kmtl_cells_walk_t *self, const kmtl_cells_t *cells, uint32_t steps,
                           kmtl_cells_embedding_t embedding, void *context) {
  self->cells = cells;
  self->embedding = embedding;
  self->context = context;
  self->steps = steps;
  self->done = 0u;
  self->layer = (steps > 0u) ? 0u : cells->count;
  self->backward = true;
  return has_both_directions(cells);
}

bool kmtl_cells_walk_goes_on(const kmtl_cells_walk_t *self) { return self->layer < self->cells->count; }

bool kmtl_cells_walk_step(kmtl_cells_walk_t *self, uint32_t *step, const void **states) {
  const kmtl_cells_layer_t *const layer = &self->cells->layers[self->layer];
  const kmtl_cell_t *const cell = self->backward ? layer->backward : layer->forward;
  const uint32_t now = self->backward ? ((self->steps - 1u) - self->done) : self->done;
  const void *state = self->cells->states;
  uint8_t *const next = state_at(self, now);

  if (self->done == 0u) {
    kmtl_cell_begin(cell, self->cells->states);
  } else {
    state = state_at(self, self->backward ? (now + 1u) : (now - 1u));
  }
  if (!cell->invoke(cell->context, input_of(self, now), state, next)) {
    return false;
  }
  *step = now;
  *states = NULL;
  if (!self->backward && ((self->layer + 1u) == self->cells->count)) {
    const size_t bytes = (size_t)cell->units * cell->state_bytes;
    (void)memcpy(&next[bytes], &((const uint8_t *)layer->states)[now * bytes], bytes);
    *states = next;
  }
  self->done++;
  if (self->done == self->steps) {
    self->done = 0u;
    self->layer += self->backward ? 0u : 1u;
    self->backward = !self->backward;
  }
  return true;
}

/* Embeddings in a row. */
typedef struct {
  const void *embeddings;
  size_t bytes; /* of one */
} row_t;

static const void *of_row(void *context, uint32_t step) {
  const row_t *const row = (const row_t *)context;

  return at_const(row->embeddings, step, row->bytes);
}

bool kmtl_cells_run(const kmtl_cells_t *self, const void *embeddings, uint32_t steps, kmtl_cells_emit_t emit,
                    void *emit_context) {
  kmtl_cells_walk_t walk;
  row_t row;

  if (!kmtl_cells_walk_begin(&walk, self, steps, of_row, &row)) {
    return false;
  }
  row.embeddings = embeddings;
  row.bytes = (size_t)self->layers[0].forward->inputs * (self->bridge.widen ? 1u : self->layers[0].forward->input_bytes);
  while (kmtl_cells_walk_goes_on(&walk)) {
    const void *states;
    uint32_t step;
    if (!kmtl_cells_walk_step(&walk, &step, &states) || ((states != NULL) && !emit(emit_context, step, states))) {
      return false;
    }
  }
  return true;
}
