/* Event stream: embeddings in, one after the other, begins and ends of events out.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Behind it are the recurrent cells, the classifiers and the event decoder, of one of two kinds: one that only hears
 * forwards goes along with every embedding and keeps none; one that hears in both directions goes over the embeddings
 * of a clip every so often, all at once. A part of kmtl_listener, which has the audio's side; it can be used alone.
 */
#ifndef KMTL_EVENT_STREAM_H_
#define KMTL_EVENT_STREAM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmtl_cells.h"
#include "kmtl_event_decoder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One inference of a network, as NAME_run of NAME_networks.h: pointers to the elements of each input, and to room for
 * those of each output, in the file's order; a null pointer is an output that is not wanted. An output may be the
 * memory of an input: all inputs are read before any output is written. 0: done. */
typedef int (*kmtl_network_run_t)(void *context, int network, const void *const *inputs, void *const *outputs);

/* One recurrent layer: a cell takes (input, state) and gives the next state, which is also the layer's output. */
typedef struct {
  int forward;
  int backward; /* not used by a decoder that hears forwards only */
  uint16_t inputs;
  uint16_t units;
  int16_t forward_zero; /* the integers that stand for 0 in their states */
  int16_t backward_zero;
} kmtl_event_layer_t;

/* The event decoder. With clip 0 it hears forwards only. Else it goes over the last `clip` embeddings every `hop`
 * of them, and what it says of the newest `after` is left to the next time, when it knows what came after them. */
typedef struct {
  uint16_t embedding;  /* elements of an embedding */
  uint8_t embedding_bytes; /* of an element: 1 (int8) or 2 (int16) */
  int classifiers;     /* states of the last layer to scores; a second output is not wanted */
  uint8_t score_bytes; /* 1 or 2 */
  uint8_t input_bytes; /* of the first layer's input */
  uint8_t state_bytes; /* of all states */
  uint8_t layer_count;
  const kmtl_event_layer_t *layers;
  kmtl_cells_bridge_t bridge; /* how embeddings become the first layer's input */
  uint16_t look_ahead;        /* forwards only: what comes of an embedding is for the one so many before it */
  uint16_t clip;
  uint16_t hop;   /* hop + after: from 1 to clip */
  uint16_t after;
  kmtl_event_settings_t decoding;
} kmtl_event_stream_settings_t;

/* A cell on its way to kmtl_cells. */
typedef struct {
  kmtl_network_run_t run;
  void *run_context;
  int network;
} kmtl_event_cell_t;

/* The caller's memory, each as aligned as its elements; kept between calls. What only a decoder of both directions
 * needs may be NULL of one that hears forwards. */
typedef struct {
  void *embeddings; /* both directions: [clip * embedding] of the embeddings' type */
  void *layer_states;     /* both directions: [clip * units * directions], 1 direction of the last layer, of all layers
                           * one after the other */
  void *running_states;   /* both directions: [2 * units of the largest layer]; forwards only: [units of all layers] */
  int16_t *cell_input;    /* [embedding], where embeddings are widened */
  int16_t *scores;        /* [classes], of both directions [clip * classes] */
  int16_t *decoder_scores; /* [KMTL_EVENT_DECODER_SCORES(classes, median)] */
  kmtl_event_track_t *tracks; /* [classes] */
  kmtl_event_t *changes;      /* [classes] */
  kmtl_cell_t *cells;         /* both directions: [2 * layers], and so the next one */
  kmtl_event_cell_t *cell_networks;
  kmtl_cells_layer_t *cell_layers; /* both directions: [layers] */
} kmtl_event_stream_memory_t;

/* State of an event stream. Its fields are its own. */
typedef struct {
  const kmtl_event_stream_settings_t *settings;
  kmtl_event_stream_memory_t memory;
  kmtl_network_run_t run;
  void *run_context;
  kmtl_event_decoder_t decoder;
  kmtl_cells_t cells;
  uint32_t heard;      /* embeddings so far */
  uint16_t held;       /* of these in memory.embeddings */
  uint16_t undecided;  /* the first of these whose scores were not given yet */
  uint16_t kept_end;   /* and the one before which scores are given in this run of the cells */
  uint16_t rows;       /* rows of scores that wait to be decoded */
  uint16_t next_row;
  uint16_t change_count; /* changes that wait to be polled */
  uint16_t next_change;
  bool ending;
  bool failed;
} kmtl_event_stream_t;

/* Begins. Settings, memory and run's context must outlive the state; `memory` itself is copied. */
void kmtl_event_stream_init(kmtl_event_stream_t *self, const kmtl_event_stream_settings_t *settings,
                            const kmtl_event_stream_memory_t *memory, kmtl_network_run_t run, void *run_context);

/* Begins anew: nothing was heard, changes that wait are gone. */
void kmtl_event_stream_reset(kmtl_event_stream_t *self);

/* Takes one embedding, [embedding]; not while changes wait. Returns false when a network failed, now or before. */
bool kmtl_event_stream_push(kmtl_event_stream_t *self, const void *embedding);

/* Whether changes wait to be polled. */
bool kmtl_event_stream_waits(const kmtl_event_stream_t *self);

/* Takes one change, if there is one: by steps, and by class within a step. */
bool kmtl_event_stream_poll(kmtl_event_stream_t *self, kmtl_event_t *change);

/* Ends a recording: what is held back is decoded, and what sounds ends; poll it, then reset. Not while changes wait.
 * Of both directions the embeddings since the last clip are one shorter clip. Returns false when a network failed. */
bool kmtl_event_stream_finish(kmtl_event_stream_t *self);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_EVENT_STREAM_H_ */
