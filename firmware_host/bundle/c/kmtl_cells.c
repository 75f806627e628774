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

/* A layer's input in one step. */
static const void *input_of(const kmtl_cells_t *self, uint32_t layer, const void *embeddings, uint32_t step) {
  const kmtl_cell_t *const cell = self->layers[layer].forward;
  const size_t element = (size_t)step * cell->inputs;

  if (layer > 0u) {
    return at_const(self->layers[layer - 1u].states, element, cell->input_bytes);
  }
  if (self->bridge.widen) {
    kmtl_cells_widen(&self->bridge, &((const int8_t *)embeddings)[element], cell->inputs, (int16_t *)self->input);
    return self->input;
  }
  return at_const(embeddings, element, cell->input_bytes);
}

/* Runs one cell over all steps. Of step k the state goes to element k * stride of `out`. */
static bool run_direction(const kmtl_cells_t *self, uint32_t layer, const void *embeddings, uint32_t steps,
                          bool backward, void *out, uint32_t stride) {
  const kmtl_cells_layer_t *const cells = &self->layers[layer];
  const kmtl_cell_t *const cell = backward ? cells->backward : cells->forward;
  const void *state = self->states;
  uint32_t done;

  kmtl_cell_begin(cell, self->states);
  for (done = 0u; done < steps; done++) {
    const uint32_t step = backward ? ((steps - 1u) - done) : done;
    uint8_t *const next = at(out, (size_t)step * stride, cell->state_bytes);
    if (!cell->invoke(cell->context, input_of(self, layer, embeddings, step), state, next)) {
      return false;
    }
    state = next;
  }
  return true;
}

/* The last layer: its backward states are kept, and its forward ones go out with them. */
static bool run_last(const kmtl_cells_t *self, const void *embeddings, uint32_t steps, kmtl_cells_emit_t emit,
                     void *emit_context) {
  const uint32_t layer = (uint32_t)self->count - 1u;
  const kmtl_cells_layer_t *const cells = &self->layers[layer];
  const kmtl_cell_t *const cell = cells->forward;
  const size_t units = cell->units;
  uint8_t *const beside = at(self->states, units, cell->state_bytes);
  uint32_t step;

  if (!run_direction(self, layer, embeddings, steps, true, cells->states, (uint32_t)units)) {
    return false;
  }
  kmtl_cell_begin(cell, self->states);
  for (step = 0u; step < steps; step++) {
    if (!cell->invoke(cell->context, input_of(self, layer, embeddings, step), self->states, self->states)) {
      return false;
    }
    (void)memcpy(beside, at(cells->states, step * units, cell->state_bytes), units * cell->state_bytes);
    if (!emit(emit_context, step, self->states)) {
      return false;
    }
  }
  return true;
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

bool kmtl_cells_run(const kmtl_cells_t *self, const void *embeddings, uint32_t steps, kmtl_cells_emit_t emit,
                    void *emit_context) {
  uint32_t layer;

  if (!has_both_directions(self)) {
    return false;
  }
  for (layer = 0u; (layer + 1u) < self->count; layer++) {
    const kmtl_cells_layer_t *const cells = &self->layers[layer];
    const uint32_t units = cells->forward->units;
    uint8_t *const backward_states = at(cells->states, units, cells->backward->state_bytes);
    if (!run_direction(self, layer, embeddings, steps, false, cells->states, 2u * units) ||
        !run_direction(self, layer, embeddings, steps, true, backward_states, 2u * units)) {
      return false;
    }
  }
  return run_last(self, embeddings, steps, emit, emit_context);
}
