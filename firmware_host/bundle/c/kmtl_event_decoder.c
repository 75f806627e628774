/* Event decoder; see kmtl_event_decoder.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_event_decoder.h"

/* Takes one score out of the ordered ones, puts another one in, and returns the median. */
static int16_t filter(int16_t *sorted, uint32_t median, int16_t leaves, int16_t comes) {
  uint32_t k = 0u;

  while (sorted[k] != leaves) {
    k++;
  }
  while (((k + 1u) < median) && (sorted[k + 1u] < comes)) {
    sorted[k] = sorted[k + 1u];
    k++;
  }
  while ((k > 0u) && (sorted[k - 1u] > comes)) {
    sorted[k] = sorted[k - 1u];
    k--;
  }
  sorted[k] = comes;
  return sorted[median / 2u];
}

static void describe(const kmtl_event_track_t *track, uint32_t label, uint32_t offset, bool ended, kmtl_event_t *event) {
  event->onset = track->onset;
  event->offset = ended ? offset : 0u;
  event->score_sum = ended ? track->score_sum : 0;
  event->label = (uint16_t)label;
  event->ended = ended;
}

/* Goes on with one class by its next filtered score. Returns whether an event began or ended. */
static bool follow(kmtl_event_decoder_t *self, uint32_t label, int16_t score, kmtl_event_t *event) {
  kmtl_event_track_t *const track = &self->tracks[label];
  const bool was_active = track->active;
  const bool active = score > (was_active ? self->settings->off_above : self->settings->on_above);

  track->active = active;
  if (active && !was_active) {
    track->onset = self->filtered;
    track->score_sum = 0;
  }
  if (active) {
    track->score_sum += score;
  }
  if (active != was_active) {
    describe(track, label, self->filtered, was_active, event);
  }
  return active != was_active;
}

/* One step of all classes; without scores, one of silence. */
static size_t step(kmtl_event_decoder_t *self, const int16_t *scores, kmtl_event_t *events) {
  const uint32_t classes = self->settings->classes;
  const uint32_t median = self->settings->median;
  int16_t *const recent = &self->recent[self->slot * classes];
  size_t count = 0u;
  uint32_t label;

  for (label = 0u; label < classes; label++) {
    const int16_t comes = (scores != NULL) ? scores[label] : self->settings->zero;
    const int16_t filtered = filter(&self->sorted[label * median], median, recent[label], comes);
    recent[label] = comes;
    if ((self->early == 0u) && follow(self, label, filtered, &events[count])) {
      count++;
    }
  }
  self->slot = (uint16_t)((self->slot + 1u) % median);
  if (self->early > 0u) {
    self->early--;
  } else {
    self->filtered++;
  }
  return count;
}

void kmtl_event_decoder_init(kmtl_event_decoder_t *self, const kmtl_event_settings_t *settings, int16_t *scores,
                             kmtl_event_track_t *tracks) {
  self->settings = settings;
  self->recent = scores;
  self->sorted = &scores[(uint32_t)settings->classes * settings->median];
  self->tracks = tracks;
  kmtl_event_decoder_reset(self);
}

void kmtl_event_decoder_reset(kmtl_event_decoder_t *self) {
  const uint32_t held = (uint32_t)self->settings->classes * self->settings->median;
  uint32_t k;

  for (k = 0u; k < held; k++) {
    self->recent[k] = self->settings->zero;
    self->sorted[k] = self->settings->zero;
  }
  for (k = 0u; k < self->settings->classes; k++) {
    self->tracks[k].active = false;
    self->tracks[k].onset = 0u;
    self->tracks[k].score_sum = 0;
  }
  self->filtered = 0u;
  self->slot = 0u;
  self->early = (uint16_t)(self->settings->median / 2u);
  self->flushed = 0u;
}

size_t kmtl_event_decoder_push(kmtl_event_decoder_t *self, const int16_t *scores, kmtl_event_t *events) {
  return step(self, scores, events);
}

bool kmtl_event_decoder_finish(kmtl_event_decoder_t *self, kmtl_event_t *events, size_t *count) {
  uint32_t label;

  if (self->flushed < (self->settings->median / 2u)) {
    self->flushed++;
    *count = step(self, NULL, events);
    return true;
  }
  *count = 0u;
  for (label = 0u; label < self->settings->classes; label++) {
    if (self->tracks[label].active) {
      describe(&self->tracks[label], label, self->filtered, true, &events[*count]);
      (*count)++;
    }
  }
  kmtl_event_decoder_reset(self);
  return false;
}

uint64_t kmtl_event_step_ms(uint32_t step, uint32_t frames_per_step, uint32_t hop, uint32_t sample_rate_hz) {
  /* In half samples, so that half a hop is a whole number. */
  const uint64_t begins = (uint64_t)step * frames_per_step * hop * 2u;

  return (begins > hop) ? ((((begins - hop) * 1000u) + sample_rate_hz) / (2u * (uint64_t)sample_rate_hz)) : 0u;
}
