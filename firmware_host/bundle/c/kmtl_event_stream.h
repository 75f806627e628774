/* Event stream: embeddings in, one after the other, begins and ends of events out.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * It runs the recurrent cells, the classifiers and the event decoder. A causal decoder takes one step with every
 * embedding and keeps none. A bidirectional one runs over the last `ring` embeddings every `hop` of them, a few cell
 * steps with each embedding that comes. A part of kmtl_listener, which takes the audio.
 */
#ifndef KMTL_EVENT_STREAM_H_
#define KMTL_EVENT_STREAM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmtl_cells.h"
#include "kmtl_embeddings.h"
#include "kmtl_event_decoder.h"
#include "kmtl_network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Embeddings of a ring of which the last `ring` are gone over with so many cells an embedding. */
#define KMTL_EVENT_STREAM_RING(ring, cell_steps) ((ring) + ((ring) / (cell_steps)))

/* One recurrent layer: a cell takes (input, state) and gives the next state, which is also the layer's output. */
typedef struct {
  int forward;
  int backward; /* not used by a causal decoder */
  uint16_t inputs;
  uint16_t units;
  int16_t forward_zero; /* the integers that stand for 0 in their states */
  int16_t backward_zero;
} kmtl_event_layer_t;

/* The event decoder. With ring 0 it is causal. Else it runs over the last `ring` embeddings as soon as there are so many,
 * and then every `hop`. Of each pass the scores are kept that follow the last pass's, up to number side + hop of the
 * ring; the embeddings after them are context. */
typedef struct {
  int classifiers;            /* states of the last layer to scores; a second output is not wanted */
  uint8_t score_bytes;        /* of a score: 1 (int8) or 2 (int16) */
  uint8_t input_bytes;        /* of an element of the first layer's input */
  uint8_t state_bytes;        /* of an element of all states */
  uint8_t layer_count;
  const kmtl_event_layer_t *layers;
  kmtl_cells_bridge_t bridge; /* how embeddings become the first layer's input */
  uint16_t look_ahead;        /* causal only: the scores after an embedding are those of the one so many before it */
  uint16_t ring;
  uint16_t hop;               /* side + hop: from 1 to ring */
  uint16_t side;
  uint32_t cell_steps;        /* of both directions: cells that are invoked with an embedding at the most. A pass takes
                               * 2 * layers * ring, and must end within `hop` embeddings */
  kmtl_event_settings_t decoding;
} kmtl_event_stream_settings_t;

/* A cell on its way to kmtl_cells. */
typedef struct {
  kmtl_run_t run;
  void *run_context;
  int network;
} kmtl_event_cell_t;

/* The caller's memory, each as aligned as its elements; kept between calls. Only one of both directions needs what is
 * marked with *; else it may be NULL. */
typedef struct {
  void *layer_states;         /* *[ring * units * directions] of each layer, one after the other; of the last layer 1
                               * direction, of the others 2 */
  void *running_states;       /* both directions: [2 * units of the largest layer]; forwards: [units of all layers] */
  int16_t *cell_input;        /* [embedding], where embeddings are widened; else NULL */
  int16_t *scores;            /* [classes] */
  int16_t *decoder_scores;    /* [KMTL_EVENT_DECODER_SCORES(classes, median)] */
  kmtl_event_track_t *tracks; /* [classes] */
  kmtl_event_t *changes;      /* [classes] */
  kmtl_cell_t *cells;         /* *[2 * layers] */
  kmtl_event_cell_t *cell_networks; /* *[2 * layers] */
  kmtl_cells_layer_t *cell_layers;  /* *[layers] */
} kmtl_event_stream_memory_t;

/* State of an event stream. Its fields are its own. */
typedef struct {
  const kmtl_event_stream_settings_t *settings;
  kmtl_event_stream_memory_t memory;
  kmtl_run_t run;
  void *run_context;
  kmtl_event_decoder_t decoder;
  kmtl_embeddings_t *ring;
  kmtl_cells_t cells;
  kmtl_cells_walk_t walk; /* the pass that is under way */
  uint32_t first;        /* its first embedding */
  uint32_t steps_left;   /* cells that may be invoked with this embedding yet */
  uint32_t heard;        /* embeddings so far */
  uint32_t answered;     /* of so many the scores are known */
  uint16_t kept_from;    /* the embeddings of the ring that the cells are asked for, and the one after the last */
  uint16_t kept_end;
  uint16_t rows;         /* steps that wait to be decoded, all with the scores that are there */
  uint16_t change_count; /* changes that wait to be polled */
  uint16_t next_change;
  bool ending;
  bool failed;
} kmtl_event_stream_t;

/* Begins. Settings, memory, ring and run's context must outlive the state; `memory` itself is copied. Of both directions
 * `ring` holds KMTL_EVENT_STREAM_RING(settings->ring, settings->cell_steps) embeddings: some come during a pass. */
void kmtl_event_stream_init(kmtl_event_stream_t *self, const kmtl_event_stream_settings_t *settings,
                            const kmtl_event_stream_memory_t *memory, kmtl_embeddings_t *ring, kmtl_run_t run,
                            void *run_context);

/* Begins anew: no embeddings, and changes that wait are gone. */
void kmtl_event_stream_reset(kmtl_event_stream_t *self);

/* Takes the embedding that came last into the ring; not while changes wait. Returns false when a network failed, now or
 * before. */
bool kmtl_event_stream_push(kmtl_event_stream_t *self);

/* Whether changes wait to be polled. */
bool kmtl_event_stream_waits(const kmtl_event_stream_t *self);

/* Takes one change, if there is one: by steps, and by class within a step. Behind the last one that waits, what else
 * there is to be computed is; `failed` tells when a network fails there. */
bool kmtl_event_stream_poll(kmtl_event_stream_t *self, kmtl_event_t *change);

/* Ends a recording: what is held back is decoded, and active events end; poll them, then reset. Not while changes wait.
 * Returns false when a network failed. */
bool kmtl_event_stream_finish(kmtl_event_stream_t *self);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_EVENT_STREAM_H_ */
