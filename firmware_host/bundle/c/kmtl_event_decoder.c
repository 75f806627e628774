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

/* Goes on with one class that is above the threshold. Returns whether its event has just lasted for the shortest. */
static bool sound(kmtl_event_track_t *track, uint32_t shortest, uint32_t step, int16_t score) {
  const bool was_active = track->active;

  if (!track->open) {
    track->open = true;
    track->onset = step;
    track->score_sum = 0;
    track->pause_sum = 0;
  }
  track->score_sum += (int64_t)track->pause_sum + score;
  track->pause_sum = 0;
  track->pause = 0u;
  track->active = was_active || (((step - track->onset) + 1u) >= shortest);
  return track->active && !was_active;
}

/* Goes on with one class that is not above the threshold. Returns whether an event ended whose begin was told. */
static bool pause(kmtl_event_track_t *track, uint32_t gap, int16_t score) {
  const bool was_active = track->active;

  if (track->open && (track->pause < gap)) {
    track->pause++;
    track->pause_sum += score; /* at most 65535 scores of 16 bits */
  } else {
    track->open = false;
    track->active = false;
  }
  return was_active && !track->active;
}

/* Goes on with one class by its next filtered score. Returns whether an event began or ended. */
static bool follow(kmtl_event_track_t *track, const kmtl_event_class_t *numbers, uint32_t label, uint32_t step,
                   int16_t score, kmtl_event_t *event) {
  const bool sounded = track->open && (track->pause == 0u);
  const bool sounds = score > (sounded ? numbers->off_above : numbers->on_above);
  const bool changed = sounds ? sound(track, numbers->shortest, step, score) : pause(track, numbers->gap, score);

  if (changed) {
    describe(track, label, step - track->pause, !sounds, event);
  }
  return changed;
}

/* One step of all classes; without scores, one of silence. */
static size_t step(kmtl_event_decoder_t *self, const int16_t *scores, kmtl_event_t *events) {
  const uint32_t classes = self->settings->classes;
  const uint32_t longest = self->settings->median;
  size_t count = 0u;
  uint32_t label;

  for (label = 0u; label < classes; label++) {
    const kmtl_event_class_t *const numbers = &self->settings->each[label];
    const uint32_t half = numbers->median / 2u;
    const uint32_t leaves = (self->slot + ((self->slot < numbers->median) ? longest : 0u)) - numbers->median;
    const int16_t comes = (scores != NULL) ? scores[label] : self->settings->zero;
    const int16_t filtered =
        filter(&self->sorted[label * longest], numbers->median, self->recent[(leaves * classes) + label], comes);
    self->recent[(self->slot * classes) + label] = comes;
    /* After the end of a clip a filter gives the steps that it held back, and then no more. */
    if ((self->behind >= half) && (self->flushed <= half) &&
        follow(&self->tracks[label], numbers, label, self->steps - half, filtered, &events[count])) {
      count++;
    }
  }
  self->slot = (uint16_t)((self->slot + 1u) % longest);
  self->behind = (uint16_t)(self->behind + ((self->behind < (longest / 2u)) ? 1u : 0u));
  self->steps++;
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
    self->tracks[k].open = false;
    self->tracks[k].active = false;
    self->tracks[k].onset = 0u;
    self->tracks[k].score_sum = 0;
    self->tracks[k].pause_sum = 0;
    self->tracks[k].pause = 0u;
  }
  self->steps = 0u;
  self->slot = 0u;
  self->behind = 0u;
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
    const kmtl_event_track_t *const track = &self->tracks[label];
    if (track->active) {
      describe(track, label, (self->steps - self->flushed) - track->pause, true, &events[*count]);
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
