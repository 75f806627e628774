/* Listener; see kmtl_listener.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_listener.h"

#include <string.h>

/* Memory from an element of so many bytes on. */
static void *at(void *memory, size_t element, size_t bytes) { return &((uint8_t *)memory)[element * bytes]; }

static bool works(kmtl_listener_t *self, int network, const void *const *inputs, void *const *outputs) {
  self->failed = self->failed || (self->run(self->run_context, network, inputs, outputs) != 0);
  return !self->failed;
}

static void fill(void *memory, size_t count, uint8_t bytes, int16_t value) {
  size_t k;

  for (k = 0u; k < count; k++) {
    if (bytes == 1u) {
      ((int8_t *)memory)[k] = (int8_t)value;
    } else {
      ((int16_t *)memory)[k] = value;
    }
  }
}

/* Scenes ---------------------------------------------------------------------------------------------------------- */

static void run_scenes(kmtl_listener_t *self) {
  const kmtl_listener_scenes_t *const scenes = self->settings->scenes;
  const void *inputs[1];
  void *outputs[1];
  uint16_t scene;

  if ((self->heard < scenes->window) || (((self->heard - scenes->window) % scenes->hop) != 0u)) {
    return;
  }
  inputs[0] = kmtl_embeddings_last(&self->ring, scenes->window);
  outputs[0] = self->memory.logits;
  if (!works(self, scenes->network, inputs, outputs)) {
    return;
  }
  scene = (scenes->logit_bytes == 1u)
              ? kmtl_scene_smoother_push_int8(&self->smoother, (const int8_t *)self->memory.logits)
              : kmtl_scene_smoother_push_int16(&self->smoother, (const int16_t *)self->memory.logits);
  if (scene != self->scene) {
    self->scene = scene;
    self->scene_step = self->heard;
    self->scene_waits = true;
  }
}

static bool results_wait(const kmtl_listener_t *self) {
  return self->scene_waits || ((self->settings->events != NULL) && kmtl_event_stream_waits(&self->events));
}

/* The encoder ----------------------------------------------------------------------------------------------------- */

static void run_encoder(kmtl_listener_t *self) {
  const kmtl_listener_encoder_t *const encoder = self->settings->encoder;
  const void *inputs[KMTL_LISTENER_MOST_STATES + 1];
  void *outputs[KMTL_LISTENER_MOST_STATES + 1];
  void *state = self->memory.states;
  uint32_t k;

  inputs[0] = self->memory.log_mel;
  outputs[encoder->embedding_output] = self->memory.embedding;
  for (k = 0u; k < encoder->state_count; k++) {
    inputs[k + 1u] = state;
    outputs[encoder->states[k].output] = state;
    state = at(state, encoder->states[k].elements, encoder->bytes);
  }
  if (!works(self, encoder->network, inputs, outputs)) {
    return;
  }
  if (self->early > 0u) {
    self->early--;
    return;
  }
  kmtl_embeddings_push(&self->ring, self->memory.embedding);
  self->heard++;
  if (self->settings->scenes != NULL) {
    run_scenes(self);
  }
  if (!self->failed && (self->settings->events != NULL)) {
    self->failed = !kmtl_event_stream_push(&self->events);
  }
}

static void take_frame(kmtl_listener_t *self) {
  const kmtl_listener_encoder_t *const encoder = self->settings->encoder;
  const size_t bands = encoder->features->bands;
  void *const row = at(self->memory.log_mel, self->frames * bands, encoder->bytes);

  kmtl_log_mel_frame(&self->front_end, self->memory.levels);
  if (encoder->bytes == 1u) {
    kmtl_log_mel_quantize_int8(self->memory.levels, bands, encoder->per_db, encoder->at_0_db, (int8_t *)row);
  } else {
    kmtl_log_mel_quantize_int16(self->memory.levels, bands, encoder->per_db, encoder->at_0_db, (int16_t *)row);
  }
  self->frames++;
  if (self->frames == encoder->frames) {
    self->frames = 0u;
    run_encoder(self);
  }
}

/* A start --------------------------------------------------------------------------------------------------------- */

static void begin_states(kmtl_listener_t *self) {
  const kmtl_listener_encoder_t *const encoder = self->settings->encoder;
  void *state = self->memory.states;
  uint32_t k;

  for (k = 0u; k < encoder->state_count; k++) {
    fill(state, encoder->states[k].elements, encoder->bytes, encoder->states[k].zero);
    state = at(state, encoder->states[k].elements, encoder->bytes);
  }
}

void kmtl_listener_init(kmtl_listener_t *self, const kmtl_listener_settings_t *settings,
                        const kmtl_listener_memory_t *memory, kmtl_run_t run, void *run_context) {
  (void)memset(self, 0, sizeof(*self));
  self->settings = settings;
  self->memory = *memory;
  self->run = run;
  self->run_context = run_context;
  kmtl_log_mel_init(&self->front_end, settings->encoder->features, memory->history, memory->scratch);
  kmtl_embeddings_init(&self->ring, memory->ring, settings->ring,
                       (size_t)settings->encoder->embedding * settings->encoder->bytes);
  if (settings->scenes != NULL) {
    kmtl_scene_smoother_init(&self->smoother, &settings->scenes->smoothing, memory->scene_scores);
  }
  if (settings->events != NULL) {
    kmtl_event_stream_init(&self->events, settings->events, &memory->events, &self->ring, run, run_context);
  }
  kmtl_listener_reset(self);
}

void kmtl_listener_reset(kmtl_listener_t *self) {
  kmtl_log_mel_reset(&self->front_end);
  if (self->settings->scenes != NULL) {
    kmtl_scene_smoother_reset(&self->smoother);
  }
  if (self->settings->events != NULL) {
    kmtl_event_stream_reset(&self->events);
  }
  kmtl_embeddings_reset(&self->ring);
  begin_states(self);
  self->heard = 0u;
  self->frames = 0u;
  self->early = self->settings->encoder->latency;
  self->scene = KMTL_NO_SCENE;
  self->scene_step = 0u;
  self->scene_waits = false;
  self->failed = false;
}

/* What the caller sees -------------------------------------------------------------------------------------------- */

bool kmtl_listener_push(kmtl_listener_t *self, const int16_t *samples, size_t count, size_t *taken) {
  size_t done = 0u;

  while ((done < count) && !self->failed && !results_wait(self)) {
    done += kmtl_log_mel_push_int16(&self->front_end, &samples[done], count - done);
    if (kmtl_log_mel_ready(&self->front_end)) {
      take_frame(self);
    }
  }
  *taken = done;
  return !self->failed;
}

static uint64_t step_ms(const kmtl_listener_t *self, uint32_t step) {
  const kmtl_listener_encoder_t *const encoder = self->settings->encoder;

  return kmtl_event_step_ms(step, encoder->frames, encoder->features->hop, encoder->features->sample_rate_hz);
}

bool kmtl_listener_poll(kmtl_listener_t *self, kmtl_heard_t *heard) {
  kmtl_event_t change;

  heard->score_sum = 0;
  if (self->failed) {
    return false;
  }
  if (self->scene_waits) {
    self->scene_waits = false;
    heard->kind = KMTL_HEARD_SCENE;
    heard->label = self->scene;
    heard->step = self->scene_step;
    heard->onset = self->scene_step;
  } else if ((self->settings->events != NULL) && kmtl_event_stream_poll(&self->events, &change)) {
    heard->kind = change.ended ? KMTL_HEARD_END : KMTL_HEARD_BEGIN;
    heard->label = change.label;
    heard->step = change.ended ? change.offset : change.onset;
    heard->onset = change.onset;
    heard->score_sum = change.score_sum;
    self->failed = self->events.failed;
  } else {
    return false;
  }
  heard->ms = step_ms(self, heard->step);
  heard->onset_ms = step_ms(self, heard->onset);
  return true;
}

bool kmtl_listener_finish(kmtl_listener_t *self) {
  if (self->failed || results_wait(self)) {
    return false;
  }
  if (self->settings->events != NULL) {
    self->failed = !kmtl_event_stream_finish(&self->events);
  }
  return !self->failed;
}

bool kmtl_listener_failed(const kmtl_listener_t *self) { return self->failed; }

uint16_t kmtl_listener_scene(const kmtl_listener_t *self) { return self->scene; }

bool kmtl_listener_active(const kmtl_listener_t *self, uint16_t label) {
  return (self->settings->events != NULL) && self->memory.events.tracks[label].active;
}
