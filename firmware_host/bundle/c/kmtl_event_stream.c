/* Event stream; see kmtl_event_stream.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_event_stream.h"

#include <string.h>

/* Memory from an element of so many bytes on. */
static void *at(void *memory, size_t element, size_t bytes) { return &((uint8_t *)memory)[element * bytes]; }

static bool works(kmtl_event_stream_t *self, int network, const void *const *inputs, void *const *outputs) {
  self->failed = self->failed || (self->run(self->run_context, network, inputs, outputs) != 0);
  return !self->failed;
}

static bool both_directions(const kmtl_event_stream_t *self) { return self->settings->ring > 0u; }

/* States of the last layer to scores. */
static bool classify(kmtl_event_stream_t *self, const void *states) {
  const kmtl_event_stream_settings_t *const settings = self->settings;
  const size_t classes = settings->decoding.classes;
  int16_t *const row = self->memory.scores;
  const void *inputs[1];
  void *outputs[2];
  size_t k;

  inputs[0] = states;
  outputs[0] = row;
  outputs[1] = NULL;
  if (!works(self, settings->classifiers, inputs, outputs)) {
    return false;
  }
  if (settings->score_bytes == 1u) {
    /* In place, so from the last one on. */
    for (k = classes; k > 0u; k--) {
      row[k - 1u] = ((const int8_t *)row)[k - 1u];
    }
  }
  self->rows = 1u;
  return true;
}

/* One step of every layer; its output is the next one's input. */
static void step_forwards(kmtl_event_stream_t *self, const void *embedding) {
  const kmtl_event_stream_settings_t *const settings = self->settings;
  const void *input = embedding;
  void *state = self->memory.running_states;
  uint32_t layer;

  if (settings->bridge.widen) {
    kmtl_cells_widen(&settings->bridge, (const int8_t *)embedding, settings->layers[0].inputs, self->memory.cell_input);
    input = self->memory.cell_input;
  }
  for (layer = 0u; layer < settings->layer_count; layer++) {
    const void *inputs[2];
    void *outputs[1];
    inputs[0] = input;
    inputs[1] = state;
    outputs[0] = state;
    if (!works(self, settings->layers[layer].forward, inputs, outputs)) {
      return;
    }
    input = state;
    state = at(state, settings->layers[layer].units, settings->state_bytes);
  }
  if (self->heard > settings->look_ahead) {
    (void)classify(self, input);
  }
}

/* The cells' side of kmtl_cells_run. */
static bool invoke_cell(void *context, const void *input, const void *state, void *next_state) {
  const kmtl_event_cell_t *const cell = (const kmtl_event_cell_t *)context;
  const void *inputs[2];
  void *outputs[1];

  inputs[0] = input;
  inputs[1] = state;
  outputs[0] = next_state;
  return cell->run(cell->run_context, cell->network, inputs, outputs) == 0;
}

/* An embedding of the pass. */
static const void *embedding_of(void *context, uint32_t step) {
  const kmtl_event_stream_t *const self = (const kmtl_event_stream_t *)context;

  return kmtl_embeddings_at(self->ring, (uint16_t)(((self->heard - 1u) - self->first) - step));
}

/* The cells are to go over the last `count` embeddings: scores up to number `end` of them, from the first one on for
 * which they are not known. */
static void go_over(kmtl_event_stream_t *self, uint16_t count, uint16_t end) {
  self->first = self->heard - count;
  self->kept_from = (uint16_t)(self->answered - self->first);
  self->kept_end = end;
  self->answered = self->first + end;
  self->failed = !kmtl_cells_walk_begin(&self->walk, &self->cells, count, embedding_of, self);
}

static bool goes_over(const kmtl_event_stream_t *self) {
  return both_directions(self) && (self->walk.cells != NULL) && kmtl_cells_walk_goes_on(&self->walk);
}

/* Invokes one cell, and the classifiers where there are states for them. */
static void step_over(kmtl_event_stream_t *self) {
  const void *states;
  uint32_t step;

  if (!kmtl_cells_walk_step(&self->walk, &step, &states)) {
    self->failed = true;
  } else if ((states != NULL) && (step >= self->kept_from) && (step < self->kept_end)) {
    (void)classify(self, states);
  } else {
    /* Context. */
  }
}

/* The pass for what is left when a recording ends; nothing comes any more, so it takes all its steps at once. */
static void go_over_rest(kmtl_event_stream_t *self) {
  const uint16_t ring = self->settings->ring;
  const uint16_t count = (self->heard < ring) ? (uint16_t)self->heard : ring;

  go_over(self, count, count);
}

/* Computes and decodes until there are changes, or nothing is left for this embedding. */
static void decode(kmtl_event_stream_t *self) {
  size_t count = 0u;
  bool goes_on = true;

  self->next_change = 0u;
  while ((count == 0u) && goes_on && !self->failed) {
    if (self->rows > 0u) {
      count = kmtl_event_decoder_push(&self->decoder, self->memory.scores, self->memory.changes);
      self->rows--;
    } else if (goes_over(self) && (self->ending || (self->steps_left > 0u))) {
      self->steps_left -= self->ending ? 0u : 1u;
      step_over(self);
    } else if (self->ending && both_directions(self) && (self->answered < self->heard)) {
      go_over_rest(self);
    } else if (self->ending) {
      self->ending = kmtl_event_decoder_finish(&self->decoder, self->memory.changes, &count);
    } else {
      goes_on = false;
    }
  }
  self->change_count = (uint16_t)count;
}

static void set_cell(kmtl_event_stream_t *self, uint32_t number, const kmtl_event_layer_t *layer, bool backward) {
  const kmtl_event_stream_settings_t *const settings = self->settings;
  kmtl_event_cell_t *const network = &self->memory.cell_networks[number];
  kmtl_cell_t *const cell = &self->memory.cells[number];

  network->run = self->run;
  network->run_context = self->run_context;
  network->network = backward ? layer->backward : layer->forward;
  cell->invoke = invoke_cell;
  cell->context = network;
  cell->inputs = layer->inputs;
  cell->units = layer->units;
  cell->input_bytes = (number < 2u) ? settings->input_bytes : settings->state_bytes;
  cell->state_bytes = settings->state_bytes;
  cell->state_zero = backward ? layer->backward_zero : layer->forward_zero;
}

static void set_cells(kmtl_event_stream_t *self) {
  const kmtl_event_stream_settings_t *const settings = self->settings;
  void *states = self->memory.layer_states;
  uint32_t k;

  for (k = 0u; k < settings->layer_count; k++) {
    kmtl_cells_layer_t *const layer = &self->memory.cell_layers[k];
    set_cell(self, 2u * k, &settings->layers[k], false);
    set_cell(self, (2u * k) + 1u, &settings->layers[k], true);
    layer->forward = &self->memory.cells[2u * k];
    layer->backward = &self->memory.cells[(2u * k) + 1u];
    layer->states = states;
    states = at(states, (size_t)settings->ring * 2u * settings->layers[k].units, settings->state_bytes);
  }
  self->cells.layers = self->memory.cell_layers;
  self->cells.count = settings->layer_count;
  self->cells.bridge = settings->bridge;
  self->cells.input = self->memory.cell_input;
  self->cells.states = self->memory.running_states;
}

void kmtl_event_stream_init(kmtl_event_stream_t *self, const kmtl_event_stream_settings_t *settings,
                            const kmtl_event_stream_memory_t *memory, kmtl_embeddings_t *ring, kmtl_run_t run,
                            void *run_context) {
  (void)memset(self, 0, sizeof(*self));
  self->settings = settings;
  self->memory = *memory;
  self->ring = ring;
  self->run = run;
  self->run_context = run_context;
  kmtl_event_decoder_init(&self->decoder, &settings->decoding, memory->decoder_scores, memory->tracks);
  if (both_directions(self)) {
    set_cells(self);
  }
  kmtl_event_stream_reset(self);
}

void kmtl_event_stream_reset(kmtl_event_stream_t *self) {
  const kmtl_event_stream_settings_t *const settings = self->settings;
  void *state = self->memory.running_states;
  uint32_t k;

  for (k = 0u; (k < settings->layer_count) && !both_directions(self); k++) {
    const kmtl_event_layer_t *const layer = &settings->layers[k];
    const kmtl_cell_t cell = {NULL, NULL, layer->inputs, layer->units, 0u, settings->state_bytes, layer->forward_zero};
    kmtl_cell_begin(&cell, state);
    state = at(state, layer->units, settings->state_bytes);
  }
  kmtl_event_decoder_reset(&self->decoder);
  self->heard = 0u;
  self->answered = 0u;
  self->kept_from = 0u;
  self->kept_end = 0u;
  self->walk.cells = NULL;
  self->first = 0u;
  self->steps_left = 0u;
  self->rows = 0u;
  self->change_count = 0u;
  self->next_change = 0u;
  self->ending = false;
  self->failed = false;
}

bool kmtl_event_stream_push(kmtl_event_stream_t *self) {
  const kmtl_event_stream_settings_t *const settings = self->settings;

  if (self->failed) {
    return false;
  }
  self->heard++;
  if (!both_directions(self)) {
    step_forwards(self, kmtl_embeddings_at(self->ring, 0u));
  } else {
    self->steps_left = settings->cell_steps;
    if ((self->heard >= settings->ring) && (((self->heard - settings->ring) % settings->hop) == 0u)) {
      /* Settings that let no pass end in time are a mistake. */
      self->failed = goes_over(self);
      if (!self->failed) {
        go_over(self, settings->ring, (uint16_t)(settings->side + settings->hop));
      }
    }
  }
  decode(self);
  return !self->failed;
}

bool kmtl_event_stream_waits(const kmtl_event_stream_t *self) { return self->next_change < self->change_count; }

bool kmtl_event_stream_poll(kmtl_event_stream_t *self, kmtl_event_t *change) {
  if (!kmtl_event_stream_waits(self)) {
    return false;
  }
  *change = self->memory.changes[self->next_change];
  self->next_change++;
  if (!kmtl_event_stream_waits(self)) {
    decode(self);
  }
  return true;
}

bool kmtl_event_stream_finish(kmtl_event_stream_t *self) {
  const kmtl_event_stream_settings_t *const settings = self->settings;

  if (self->failed) {
    return false;
  }
  if (!both_directions(self) && (settings->look_ahead > 0u) && (self->heard > 0u)) {
    /* The last states give the scores of all that is left. */
    void *state = self->memory.running_states;
    uint32_t k;
    for (k = 0u; (k + 1u) < settings->layer_count; k++) {
      state = at(state, settings->layers[k].units, settings->state_bytes);
    }
    if (classify(self, state)) {
      self->rows = (self->heard < settings->look_ahead) ? (uint16_t)self->heard : settings->look_ahead;
    }
  }
  self->ending = true;
  decode(self);
  return !self->failed;
}
