/* Scene smoothing; see kmtl_scene_smoother.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_scene_smoother.h"

#include <math.h>
#include <stddef.h>

/* Logits of either type: the other pointer is NULL. */
typedef struct {
  const int8_t *narrow;
  const int16_t *wide;
} logits_t;

static int32_t logit(const logits_t *logits, uint32_t k) {
  return (logits->narrow != NULL) ? (int32_t)logits->narrow[k] : (int32_t)logits->wide[k];
}

/* exp of a logit less the largest one, so that nothing overflows. */
static float raised(const kmtl_scene_smoother_t *self, const logits_t *logits, uint32_t k, int32_t largest) {
  return expf((float)(logit(logits, k) - largest) * self->settings->scale);
}

static void average(kmtl_scene_smoother_t *self, const logits_t *logits) {
  /* The first scores are their own mean. */
  const float weight = (self->scene == KMTL_NO_SCENE) ? 1.0f : self->settings->weight;
  int32_t largest = logit(logits, 0u);
  float sum = 0.0f;
  uint32_t k;

  for (k = 1u; k < self->settings->classes; k++) {
    const int32_t value = logit(logits, k);
    largest = (value > largest) ? value : largest;
  }
  for (k = 0u; k < self->settings->classes; k++) {
    sum += raised(self, logits, k, largest);
  }
  for (k = 0u; k < self->settings->classes; k++) {
    self->scores[k] += weight * ((raised(self, logits, k, largest) / sum) - self->scores[k]);
  }
}

static void choose(kmtl_scene_smoother_t *self) {
  uint16_t best = 0u;
  uint16_t k;

  for (k = 1u; k < self->settings->classes; k++) {
    if (self->scores[k] > self->scores[best]) {
      best = k;
    }
  }
  if (best != self->candidate) {
    self->candidate = best;
    self->times = 0u;
  }
  if (self->times < self->settings->hold) {
    self->times++;
  }
  if ((self->scene == KMTL_NO_SCENE) || (self->times >= self->settings->hold)) {
    self->scene = best;
  }
}

void kmtl_scene_smoother_init(kmtl_scene_smoother_t *self, const kmtl_scene_settings_t *settings, float *scores) {
  self->settings = settings;
  self->scores = scores;
  kmtl_scene_smoother_reset(self);
}

void kmtl_scene_smoother_reset(kmtl_scene_smoother_t *self) {
  uint32_t k;

  for (k = 0u; k < self->settings->classes; k++) {
    self->scores[k] = 0.0f;
  }
  self->scene = KMTL_NO_SCENE;
  self->candidate = KMTL_NO_SCENE;
  self->times = 0u;
}

uint16_t kmtl_scene_smoother_push_int8(kmtl_scene_smoother_t *self, const int8_t *logits) {
  const logits_t given = {logits, NULL};

  average(self, &given);
  choose(self);
  return self->scene;
}

uint16_t kmtl_scene_smoother_push_int16(kmtl_scene_smoother_t *self, const int16_t *logits) {
  const logits_t given = {NULL, logits};

  average(self, &given);
  choose(self);
  return self->scene;
}
