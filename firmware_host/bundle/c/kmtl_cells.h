/* Driver of one-step recurrent cells: bidirectional layers over the embeddings of a clip.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * Each cell is a network of its own, with an interpreter (and an arena) of its own; how it is invoked is the caller's
 * business, by a function and a context. Only integers move between the cells. A causal network needs only
 * kmtl_cell_begin and one invoke a step. keras_mtl.firmware_host.device.events does the same in Python.
 */
#ifndef KMTL_CELLS_H_
#define KMTL_CELLS_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One step of a cell: copies `input` and `state` into the interpreter's inputs, invokes it, copies its output to
 * `next_state`, which may be the same memory as `state`. Returns whether it worked. */
typedef bool (*kmtl_cell_invoke_t)(void *context, const void *input, const void *state, void *next_state);

/* A cell. */
typedef struct {
  kmtl_cell_invoke_t invoke;
  void *context;       /* handed to invoke */
  uint16_t inputs;     /* elements of its input */
  uint16_t units;      /* elements of its state */
  uint8_t input_bytes; /* of one element: 1 (int8) or 2 (int16) */
  uint8_t state_bytes; /* of one element: 1 (int8) or 2 (int16) */
  int16_t state_zero;  /* the integer that stands for 0 in a state: its zero point */
} kmtl_cell_t;

/* One bidirectional layer. Its two cells have the same sizes. */
typedef struct {
  const kmtl_cell_t *forward;
  const kmtl_cell_t *backward;
  /* Memory for the states of all steps: [steps * 2 * units] elements, forward and backward side by side; of the last
   * layer [steps * units], for its forward states go out one by one. Aligned as an element. */
  void *states;
} kmtl_cells_layer_t;

/* How the embeddings become the first layer's input. */
typedef struct {
  bool widen;   /* false: taken as they are. true: int8 embeddings, int16 cells, (embedding - zero) << shift */
  uint8_t shift;
  int8_t zero;  /* zero point of the embeddings */
} kmtl_cells_bridge_t;

/* The layers and their memory; layers, cells and memory are the caller's, and memory is aligned as its elements. */
typedef struct {
  const kmtl_cells_layer_t *layers;
  uint16_t count; /* of layers, at least 1 */
  kmtl_cells_bridge_t bridge;
  void *input;  /* memory for one input of the first layer where embeddings are widened, else NULL */
  void *states; /* memory for two states of the largest layer, [2 * units] elements */
} kmtl_cells_t;

/* Takes one step's states of the last layer, forward and backward side by side, [2 * units], as for the classifiers.
 * Returns whether to go on. */
typedef bool (*kmtl_cells_emit_t)(void *context, uint32_t step, const void *states);

/* A state to begin with: [units] elements that stand for 0. */
void kmtl_cell_begin(const kmtl_cell_t *cell, void *state);

/* int8 embeddings as int16 inputs, [count]: (embedding - zero) << shift, without a loss. */
void kmtl_cells_widen(const kmtl_cells_bridge_t *bridge, const int8_t *embeddings, uint32_t count, int16_t *out);

/* Gives one step's embedding, [inputs of the first layer] elements; valid until the next call. */
typedef const void *(*kmtl_cells_embedding_t)(void *context, uint32_t step);

/* All layers over the embeddings of a clip, cell by cell, with anything else done in between. Layer by layer, backward
 * first: no step is read earlier than by the backward cell of the first layer, nor later than by its forward one. */
typedef struct {
  const kmtl_cells_t *cells;
  kmtl_cells_embedding_t embedding;
  void *context;
  uint32_t steps;
  uint32_t done; /* steps of the present direction */
  uint32_t layer;
  bool backward;
} kmtl_cells_walk_t;

/* Begins. `cells` must outlive the walk. Returns false where there is no layer, or one without its two cells of the same
 * sizes: then no step may be taken. */
bool kmtl_cells_walk_begin(kmtl_cells_walk_t *self, const kmtl_cells_t *cells, uint32_t steps,
                           kmtl_cells_embedding_t embedding, void *context);

/* Whether steps are left. */
bool kmtl_cells_walk_goes_on(const kmtl_cells_walk_t *self);

/* Invokes the next cell, once; 2 * layers * steps times in all. `states`: those of step `step` of the last layer, [2 * units],
 * where this was its forward cell, else NULL. Returns false when the cell does. */
bool kmtl_cells_walk_step(kmtl_cells_walk_t *self, uint32_t *step, const void **states);

/* Runs all layers over the embeddings of a clip, [steps * inputs of the first layer] elements. Returns false as soon as
 * a cell or `emit` does; and at once, with no cell invoked, where there is no layer, or one without its two cells of the
 * same sizes: causal layers are not run here. */
bool kmtl_cells_run(const kmtl_cells_t *self, const void *embeddings, uint32_t steps, kmtl_cells_emit_t emit,
                    void *emit_context);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_CELLS_H_ */
