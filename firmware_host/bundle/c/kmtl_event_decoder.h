/* Event decoder: scores in, step by step; begins and ends of events out.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Per class a median filter of odd length, then a threshold with hysteresis; then events with a short pause between
 * them are joined, and short ones dropped. The filter sees as many steps ahead as back, so the result for a step is
 * known median / 2 steps later, of each class by its own filter; steps are counted in the audio, without that delay. A
 * begin is told as soon as the event has lasted for the shortest, an end as soon as the pause is longer than the gap.
 * The events are those of keras_mtl.decoding on the whole clip, scores included.
 *
 *   static int16_t scores[KMTL_EVENT_DECODER_SCORES(CLASSES, MEDIAN)];
 *   static kmtl_event_track_t tracks[CLASSES];
 *   static kmtl_event_decoder_t decoder;
 *   kmtl_event_t events[CLASSES];
 *   kmtl_event_decoder_init(&decoder, &settings, scores, tracks);
 *   for (each step) {
 *     const size_t count = kmtl_event_decoder_push(&decoder, step, events);
 *     ...
 *   }
 *   do { more = kmtl_event_decoder_finish(&decoder, events, &count); ... } while (more);
 */
#ifndef KMTL_EVENT_DECODER_H_
#define KMTL_EVENT_DECODER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* int16 numbers that the filters need; median: the longest of the classes'. */
#define KMTL_EVENT_DECODER_SCORES(classes, median) (2u * (classes) * (median))

/* How to decode one class. Scores are the network's integers (8-bit ones fit too), so thresholds are in integers as
 * well: keras_mtl.decoding.decoder_numbers computes them. */
typedef struct {
  uint16_t median;   /* steps of the median filter: an odd number; 1 is none */
  int16_t on_above;  /* an event begins where the filtered score is above this */
  int16_t off_above; /* it lasts as long as the filtered score is above this: at most on_above */
  uint16_t shortest; /* an event of fewer steps is dropped */
  uint16_t gap;      /* an event goes on after a pause of so many steps, and ends with a longer one */
} kmtl_event_class_t;

/* How to decode. */
typedef struct {
  uint16_t classes;
  uint16_t median; /* the longest of the classes' */
  int16_t zero;    /* the score that stands for a probability of 0: it is there before the start and after the end */
  const kmtl_event_class_t *each; /* [classes] */
} kmtl_event_settings_t;

/* What happened to one class: an event began, or ended. */
typedef struct {
  uint32_t onset;    /* the event's first step */
  uint32_t offset;   /* the step after its last one; 0 while it lasts */
  int64_t score_sum; /* filtered scores over its steps, joined pauses included; the mean score is this /
                      * (offset - onset). 0 while it lasts */
  uint16_t label;    /* number of the class */
  bool ended;
} kmtl_event_t;

/* State of one class. Its fields are the decoder's own. */
typedef struct {
  int64_t score_sum; /* of the event up to its last step above the threshold */
  uint32_t onset;
  int32_t pause_sum; /* of the pause since */
  uint16_t pause;    /* its steps */
  bool open;         /* an event began and has not ended, as far as is known; it may turn out too short */
  bool active;       /* its begin was told */
} kmtl_event_track_t;

/* State of a decoder. Its fields are its own. */
typedef struct {
  const kmtl_event_settings_t *settings;
  int16_t *recent; /* the last scores: [median * classes], a ring of steps */
  int16_t *sorted; /* of each class those within its filter, in order: [classes * median] */
  kmtl_event_track_t *tracks;
  uint32_t steps;   /* pushed, and those after the end of a clip */
  uint16_t slot;    /* place in the ring of the oldest step */
  uint16_t behind;  /* steps, as many as the longest filter looks back at the most */
  uint16_t flushed; /* steps after the end of a clip */
} kmtl_event_decoder_t;

/* Begins: a clip, or a stream without end.
 * settings  must outlive the state.
 * scores    [KMTL_EVENT_DECODER_SCORES(classes, median)], kept between calls.
 * tracks    [classes], kept between calls. */
void kmtl_event_decoder_init(kmtl_event_decoder_t *self, const kmtl_event_settings_t *settings, int16_t *scores,
                             kmtl_event_track_t *tracks);

/* Begins anew: no event is active, and the next step is step 0. */
void kmtl_event_decoder_reset(kmtl_event_decoder_t *self);

/* Takes the scores of one step, [classes]. Writes what began or ended by it, at most one change a class, into events,
 * [classes], and returns how many. */
size_t kmtl_event_decoder_push(kmtl_event_decoder_t *self, const int16_t *scores, kmtl_event_t *events);

/* Ends a clip: decodes the steps that the filter still holds back, one a call, and at last ends what is active. Writes
 * changes as kmtl_event_decoder_push does, and their number into count. Call it until it returns false; the state is
 * then as after kmtl_event_decoder_reset. */
bool kmtl_event_decoder_finish(kmtl_event_decoder_t *self, kmtl_event_t *events, size_t *count);

/* When a step begins, in ms from the start of the audio, rounded: half a hop before its first frame, and not before 0.
 * frames_per_step  log-mel frames of one step.
 * hop              samples from one frame to the next. */
uint64_t kmtl_event_step_ms(uint32_t step, uint32_t frames_per_step, uint32_t hop, uint32_t sample_rate_hz);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_EVENT_DECODER_H_ */
