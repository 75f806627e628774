/* Listener: samples in, scenes and events out, for as long as there is audio.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * It runs the front end, the streaming encoder with its states, the scene decoder over the last embeddings with
 * its smoother, and the event decoder (kmtl_event_stream). The networks themselves are the caller's: one function runs
 * them by number, with TensorFlow Lite Micro or anything else.
 *
 * All memory is the caller's, and its sizes are known beforehand: keras_mtl generates a struct that has all of it
 * (listener.h). Nothing is allocated. There may be any number of listeners, each with memory of its own.
 *
 *   while (count > 0u) {
 *     size_t taken;
 *     if (!kmtl_listener_push(&listener, samples, count, &taken)) { ... a network failed ... }
 *     samples += taken;
 *     count -= taken;
 *     while (kmtl_listener_poll(&listener, &heard)) { ... }
 *   }
 */
#ifndef KMTL_LISTENER_H_
#define KMTL_LISTENER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmtl_event_stream.h"
#include "kmtl_log_mel.h"
#include "kmtl_scene_smoother.h"

#ifdef __cplusplus
extern "C" {
#endif

/* States that an encoder has at most. */
#define KMTL_LISTENER_MOST_STATES 15

/* What a layer of the encoder keeps from step to step. */
typedef struct {
  uint32_t elements;
  int16_t zero;   /* the integer that stands for 0: its zero point */
  uint8_t output; /* place of the next state among the network's outputs */
} kmtl_listener_state_t;

/* The streaming encoder. Its inputs are the log-mel of a step and the states, in their order. Log-mel, states and
 * embeddings have one type. */
typedef struct {
  int network;
  uint8_t bytes;            /* of an element: 1 (int8) or 2 (int16) */
  uint8_t state_count;      /* at most KMTL_LISTENER_MOST_STATES */
  uint8_t embedding_output; /* place of the embedding among the network's outputs */
  uint16_t frames;          /* log-mel frames of a step */
  uint16_t latency;         /* steps after a start whose embeddings are of what was before it, and are dropped */
  uint16_t embedding;       /* elements of an embedding */
  const kmtl_listener_state_t *states;
  const kmtl_log_mel_tables_t *features;
  float per_db;             /* INPUT_PER_DB and INPUT_AT_0_DB: of log-mel in dB to the network's input */
  float at_0_db;
} kmtl_listener_encoder_t;

/* The scene decoder: embeddings of a window to logits. It is called when there is a window for the first time, and
 * then every `hop` embeddings. */
typedef struct {
  int network;
  uint8_t logit_bytes; /* 1 or 2 */
  uint16_t window;     /* embeddings that it reads at a time: at most those of the ring */
  uint16_t hop;        /* at least 1 */
  kmtl_scene_settings_t smoothing;
} kmtl_listener_scenes_t;

/* What runs; constant. Scenes or events may be NULL. */
typedef struct {
  const kmtl_listener_encoder_t *encoder;
  const kmtl_listener_scenes_t *scenes;
  const kmtl_event_stream_settings_t *events;
  uint16_t ring; /* embeddings that are kept: the most that scenes and events read at a time, and those that come during
                  * a pass of the events; at least 1 */
} kmtl_listener_settings_t;

/* The caller's memory, each as aligned as its elements; kept between calls, but for `scratch`. What belongs to a part
 * that is not there may be NULL. */
typedef struct {
  kmtl_log_mel_sample_t *history;  /* [window] samples */
  kmtl_log_mel_scratch_t *scratch; /* [2 * fft], free between calls */
  float *levels;          /* [bands], log-mel in dB */
  void *log_mel;          /* [frames * bands] of the encoder's type */
  void *states;           /* [elements of all states] of the encoder's type */
  void *embedding;        /* [embedding] of the encoder's type */
  void *ring;             /* [ring * embedding] of the encoder's type */
  void *logits;           /* [scenes] */
  float *scene_scores;    /* [scenes] */
  kmtl_event_stream_memory_t events;
} kmtl_listener_memory_t;

typedef enum {
  KMTL_HEARD_SCENE = 0, /* the scene changed */
  KMTL_HEARD_BEGIN = 1, /* an event began */
  KMTL_HEARD_END = 2    /* an event ended */
} kmtl_heard_kind_t;

/* A result. Steps count embeddings from the start, and are also given in ms on the line of the audio. */
typedef struct {
  kmtl_heard_kind_t kind;
  uint16_t label;    /* number of the scene or of the event's class */
  uint32_t step;     /* SCENE: embeddings by then; BEGIN: the first step; END: the one after the last */
  uint32_t onset;    /* END: the first step; else as `step` */
  uint64_t ms;       /* of `step` */
  uint64_t onset_ms; /* of `onset` */
  int64_t score_sum; /* END: filtered scores over its steps, as integers; else 0 */
} kmtl_heard_t;

/* State of a listener. Its fields are its own. 2^32 steps are five years of 25 steps a second; then reset it. */
typedef struct {
  const kmtl_listener_settings_t *settings;
  kmtl_listener_memory_t memory;
  kmtl_run_t run;
  void *run_context;
  kmtl_log_mel_t front_end;
  kmtl_embeddings_t ring;
  kmtl_scene_smoother_t smoother;
  kmtl_event_stream_t events;
  uint32_t heard;       /* embeddings so far, from that of the first frames on */
  uint16_t frames;      /* frames of the step that is coming */
  uint16_t early;       /* embeddings to be dropped yet */
  uint16_t scene;       /* the last result */
  uint32_t scene_step;
  bool scene_waits;
  bool failed;
} kmtl_listener_t;

/* Begins. Settings, memory and run's context must outlive the state; `memory` itself is copied. */
void kmtl_listener_init(kmtl_listener_t *self, const kmtl_listener_settings_t *settings,
                        const kmtl_listener_memory_t *memory, kmtl_run_t run, void *run_context);

/* Begins anew: no embeddings and no scene, and results that wait are gone. */
void kmtl_listener_reset(kmtl_listener_t *self);

/* Takes samples, full scale being 32768, until there are results or all are taken, and writes how many it took into
 * `taken`: 0 while results wait to be polled. Runs the networks as it goes. Returns false when one failed, now or
 * before; only a reset ends that. */
bool kmtl_listener_push(kmtl_listener_t *self, const int16_t *samples, size_t count, size_t *taken);

/* Takes one result, if there is one: the scene first, then events by their steps, and by class within a step. Networks
 * may run for the next one, so look at kmtl_listener_failed after the last. */
bool kmtl_listener_poll(kmtl_listener_t *self, kmtl_heard_t *heard);

/* Ends a recording: after it, polling gives what the event decoder held back, and the ends of active events. Embeddings
 * that the encoder holds back are lost. Then only a reset begins anew. Returns false, and does nothing, while results
 * wait or after a failure; and when a network fails. */
bool kmtl_listener_finish(kmtl_listener_t *self);

/* Whether a network failed: what waits to be heard is lost, and only a reset ends that. */
bool kmtl_listener_failed(const kmtl_listener_t *self);

/* The present scene, or KMTL_NO_SCENE; and its smoothed probability is scene_scores[scene]. */
uint16_t kmtl_listener_scene(const kmtl_listener_t *self);

/* Whether an event of this class is active, as far as was decoded. */
bool kmtl_listener_active(const kmtl_listener_t *self, uint16_t label);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_LISTENER_H_ */
