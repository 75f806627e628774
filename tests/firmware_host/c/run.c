/* Runs the C of a bundle on files: the same program on the host and on an emulated Cortex-M (semihosting has files).
 *
 *   run log_mel SEED int16|float (KIND CLIP IN OUT)...  samples (int16) to frames: levels, then int8, then int16 inputs.
 *     Several inputs are heard in turn by instances of their own that share the scratch. Pushes are of random sizes by
 *     SEED; 1: single samples; 0: as large as possible. CLIP: samples of a clip, after which a new one begins; 0: never.
 *   run decode IN OUT       tracks: settings and scores to changes
 *   run smooth IN OUT       settings and logits to scenes and scores
 *   run cells IN OUT        sizes and embeddings to the states of the last layer, with cells made of integer sums
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmtl_cells.h"
#include "kmtl_event_decoder.h"
#include "kmtl_scene_smoother.h"
#include "kinds.h" /* generated: for each kind of features its tables, MOST_WINDOW, MOST_SCRATCH, MOST_BANDS */

#define MOST_JOBS 2
#define CHUNK 1500
#define MOST_CLASSES 100
#define MOST_MEDIAN 31
#define MOST_UNITS 16
#define MOST_INPUTS 32
#define MOST_STEPS 64
#define MOST_LAYERS 3
/* Of the inputs that `log_mel` writes: what is loud or silent saturates. */
#define PER_DB_INT8 2.5f
#define AT_0_DB_INT8 12.25f
#define PER_DB_INT16 700.5f
#define AT_0_DB_INT16 (-33.0f)

static void fail(const char *what) {
  fprintf(stderr, "run: %s\n", what);
  exit(2);
}

static FILE *opened(const char *path, const char *mode) {
  FILE *const file = fopen(path, mode);
  if (file == NULL) {
    fail(path);
  }
  return file;
}

static void put(FILE *file, const void *data, size_t bytes) {
  if (fwrite(data, 1u, bytes, file) != bytes) {
    fail("can't write");
  }
}

static bool get(FILE *file, void *data, size_t bytes) { return fread(data, 1u, bytes, file) == bytes; }

typedef struct {
  const kmtl_log_mel_tables_t *tables;
  kmtl_log_mel_t front_end;
  uint32_t clip, heard;
  size_t held, next;
  FILE *in, *out;
  int16_t samples[CHUNK];
  kmtl_log_mel_sample_t history[MOST_WINDOW];
} job_t;

static job_t jobs[MOST_JOBS];
static kmtl_log_mel_scratch_t scratch[MOST_SCRATCH];

static void put_frame(job_t *job) {
  static float levels[MOST_BANDS];
  static int8_t narrow[MOST_BANDS];
  static int16_t wide[MOST_BANDS];
  const size_t bands = job->tables->bands;
  kmtl_log_mel_frame(&job->front_end, levels);
  kmtl_log_mel_quantize_int8(levels, bands, PER_DB_INT8, AT_0_DB_INT8, narrow);
  kmtl_log_mel_quantize_int16(levels, bands, PER_DB_INT16, AT_0_DB_INT16, wide);
  put(job->out, levels, bands * sizeof levels[0]);
  put(job->out, narrow, bands);
  put(job->out, wide, bands * sizeof wide[0]);
}

static size_t push(job_t *job, size_t count, bool as_float) {
  static float floats[CHUNK];
  size_t k;
  if (!as_float) {
    return kmtl_log_mel_push_int16(&job->front_end, &job->samples[job->next], count);
  }
  for (k = 0u; k < count; k++) {
    floats[k] = (float)job->samples[job->next + k] / 32768.0f;
  }
  return kmtl_log_mel_push_float(&job->front_end, floats, count);
}

static void end_clip(job_t *job) {
  while (kmtl_log_mel_finish(&job->front_end)) {
    put_frame(job);
  }
  job->heard = 0u;
}

/* One push of at most `most` samples. Returns false at the end of the input. */
static bool go_on(job_t *job, size_t most, bool as_float) {
  size_t count;
  if (job->next == job->held) {
    job->next = 0u;
    job->held = fread(job->samples, sizeof job->samples[0], CHUNK, job->in);
    if (job->held == 0u) {
      return false;
    }
  }
  count = job->held - job->next;
  count = (most < count) ? most : count;
  if ((job->clip > 0u) && ((job->clip - job->heard) < count)) {
    count = job->clip - job->heard;
  }
  count = push(job, count, as_float);
  job->next += count;
  job->heard += (uint32_t)count;
  if (kmtl_log_mel_ready(&job->front_end)) {
    put_frame(job);
  }
  if ((job->clip > 0u) && (job->heard == job->clip)) {
    end_clip(job);
  }
  return true;
}

static void log_mel(uint32_t seed, bool as_float, int count, char **arguments) {
  bool more = true;
  int k;
  for (k = 0; (k < count) && (k < MOST_JOBS); k++, arguments += 4) {
    size_t kind;
    for (kind = 0u; (kind < KINDS) && (strcmp(kinds[kind].name, arguments[0]) != 0); kind++) {
    }
    if (kind == KINDS) {
      fail("no such kind");
    }
    jobs[k].tables = kinds[kind].tables;
    jobs[k].clip = (uint32_t)strtoul(arguments[1], NULL, 10);
    jobs[k].in = opened(arguments[2], "rb");
    jobs[k].out = opened(arguments[3], "wb");
    kmtl_log_mel_init(&jobs[k].front_end, jobs[k].tables, jobs[k].history, scratch);
  }
  while (more) {
    more = false;
    for (k = 0; k < count; k++) {
      size_t most = (seed == 0u) ? CHUNK : 1u;
      if (seed > 1u) {
        seed = (seed * 1664525u) + 1013904223u;
        most = (seed >> 16) % 700u;
      }
      more = go_on(&jobs[k], most, as_float) || more;
    }
  }
  for (k = 0; k < count; k++) {
    if ((jobs[k].clip == 0u) || (jobs[k].heard > 0u)) {
      end_clip(&jobs[k]);
    }
    fclose(jobs[k].out);
  }
}

static void put_changes(FILE *out, int64_t track, const kmtl_event_t *events, size_t count) {
  size_t k;
  for (k = 0u; k < count; k++) {
    const int64_t row[6] = {track, events[k].onset, events[k].offset, events[k].label, events[k].score_sum,
                            events[k].ended ? 1 : 0};
    put(out, row, sizeof row);
  }
}

static void decode(FILE *in, FILE *out) {
  static int16_t memory[KMTL_EVENT_DECODER_SCORES(MOST_CLASSES, MOST_MEDIAN)];
  static kmtl_event_track_t tracks[MOST_CLASSES];
  kmtl_event_t events[MOST_CLASSES];
  kmtl_event_class_t each[MOST_CLASSES];
  int16_t header[4], scores[MOST_CLASSES];
  int64_t track = 0;
  while (get(in, header, sizeof header)) {
    const kmtl_event_settings_t settings = {(uint16_t)header[0], (uint16_t)header[1], header[2], each};
    kmtl_event_decoder_t decoder;
    size_t count;
    bool more = true;
    int16_t step;
    if ((settings.classes > MOST_CLASSES) || (settings.median > MOST_MEDIAN)) {
      fail("too large");
    }
    if (!get(in, each, settings.classes * sizeof each[0])) {
      fail("settings end early");
    }
    kmtl_event_decoder_init(&decoder, &settings, memory, tracks);
    for (step = 0; step < header[3]; step++) {
      if (!get(in, scores, settings.classes * sizeof scores[0])) {
        fail("a track ends early");
      }
      count = kmtl_event_decoder_push(&decoder, scores, events);
      put_changes(out, track, events, count);
    }
    while (more) {
      more = kmtl_event_decoder_finish(&decoder, events, &count);
      put_changes(out, track, events, count);
    }
    track++;
  }
}

static void smooth(FILE *in, FILE *out) {
  int16_t header[4], logits[MOST_CLASSES];
  float weights[2];
  while (get(in, header, sizeof header) && get(in, weights, sizeof weights)) {
    const kmtl_scene_settings_t settings = {(uint16_t)header[0], (uint16_t)header[1], weights[0], weights[1]};
    float scores[MOST_CLASSES];
    kmtl_scene_smoother_t smoother;
    int16_t step;
    kmtl_scene_smoother_init(&smoother, &settings, scores);
    for (step = 0; step < header[3]; step++) {
      int32_t scene;
      int8_t narrow[MOST_CLASSES];
      size_t k;
      if (!get(in, logits, settings.classes * sizeof logits[0])) {
        fail("logits end early");
      }
      for (k = 0u; k < settings.classes; k++) {
        narrow[k] = (int8_t)logits[k];
      }
      scene = (header[2] == 1) ? kmtl_scene_smoother_push_int8(&smoother, narrow)
                               : kmtl_scene_smoother_push_int16(&smoother, logits);
      put(out, &scene, sizeof scene);
      put(out, scores, settings.classes * sizeof scores[0]);
    }
  }
}

/* A cell of integer sums: weights from -7 to 7 by a number of the cell, of the unit and of the element. */
typedef struct {
  int32_t number, inputs, units, input_bytes, state_bytes;
} sums_t;

static int32_t element(const void *data, int32_t bytes, int32_t k) {
  return (bytes == 1) ? ((const int8_t *)data)[k] : ((const int16_t *)data)[k];
}

static int32_t sum_weight(const sums_t *cell, int32_t unit, int32_t k) {
  return (((cell->number * 31) + (unit * 17) + (k * 7)) % 15) - 7;
}

static bool invoke_sums(void *context, const void *input, const void *state, void *next_state) {
  const sums_t *const cell = (const sums_t *)context;
  const int32_t most = (cell->state_bytes == 1) ? 127 : 32767;
  int32_t next[MOST_UNITS];
  int32_t unit, k;
  for (unit = 0; unit < cell->units; unit++) {
    int32_t sum = unit - cell->number;
    for (k = 0; k < cell->inputs; k++) {
      sum += sum_weight(cell, unit, k) * element(input, cell->input_bytes, k);
    }
    for (k = 0; k < cell->units; k++) {
      sum += sum_weight(cell, unit, k + 3) * element(state, cell->state_bytes, k);
    }
    sum /= 5;
    next[unit] = (sum > most) ? most : ((sum < -most) ? -most : sum);
  }
  for (unit = 0; unit < cell->units; unit++) {
    if (cell->state_bytes == 1) {
      ((int8_t *)next_state)[unit] = (int8_t)next[unit];
    } else {
      ((int16_t *)next_state)[unit] = (int16_t)next[unit];
    }
  }
  return cell->number != 99;
}

typedef struct {
  FILE *out;
  size_t bytes;
} emit_t;

static bool emit(void *context, uint32_t step, const void *states) {
  const emit_t *const to = (const emit_t *)context;
  put(to->out, &step, sizeof step);
  put(to->out, states, to->bytes);
  return true;
}

/* Header: layers, inputs, units, bytes of an embedding, bytes of a state, whether to widen, shift, zero of the
 * embeddings, zero of the states, number of the first cell, steps. Then the embeddings. */
static void run_cells(FILE *in, FILE *out) {
  static int16_t states[MOST_LAYERS][MOST_STEPS * 2 * MOST_UNITS], input[MOST_INPUTS], running[2 * MOST_UNITS];
  static int16_t embeddings[MOST_STEPS * MOST_INPUTS];
  int16_t h[11];
  while (get(in, h, sizeof h)) {
    sums_t sums[MOST_LAYERS][2];
    kmtl_cell_t cells[MOST_LAYERS][2];
    kmtl_cells_layer_t layers[MOST_LAYERS];
    const kmtl_cells_t network = {layers, (uint16_t)h[0], {h[5] != 0, (uint8_t)h[6], (int8_t)h[7]}, input, running};
    const emit_t to = {out, 2u * (size_t)h[2] * (size_t)h[4]};
    int32_t done, layer, side;
    for (layer = 0; layer < h[0]; layer++) {
      for (side = 0; side < 2; side++) {
        const sums_t sum = {h[9] + (2 * layer) + side, (layer == 0) ? h[1] : 2 * h[2], h[2],
                            ((layer == 0) && (h[5] == 0)) ? h[3] : h[4], h[4]};
        const kmtl_cell_t cell = {invoke_sums, &sums[layer][side], (uint16_t)sum.inputs, (uint16_t)sum.units,
                                  (uint8_t)sum.input_bytes, (uint8_t)sum.state_bytes, h[8]};
        sums[layer][side] = sum;
        cells[layer][side] = cell;
      }
      layers[layer].forward = &cells[layer][0];
      layers[layer].backward = &cells[layer][1];
      layers[layer].states = states[layer];
    }
    if (!get(in, embeddings, (size_t)h[10] * (size_t)h[1] * (size_t)h[3])) {
      fail("embeddings end early");
    }
    done = kmtl_cells_run(&network, embeddings, (uint32_t)h[10], emit, (void *)&to) ? 1 : 0;
    put(out, &done, sizeof done);
  }
}

int main(int argc, char **argv) {
  const char *const what = (argc > 1) ? argv[1] : "";
  if ((strcmp(what, "log_mel") == 0) && (argc >= 8)) {
    log_mel((uint32_t)strtoul(argv[2], NULL, 10), strcmp(argv[3], "float") == 0, (argc - 4) / 4, &argv[4]);
  } else if (argc == 4) {
    FILE *const in = opened(argv[2], "rb");
    FILE *const out = opened(argv[3], "wb");
    if (strcmp(what, "decode") == 0) {
      decode(in, out);
    } else if (strcmp(what, "smooth") == 0) {
      smooth(in, out);
    } else if (strcmp(what, "cells") == 0) {
      run_cells(in, out);
    } else {
      fail("no such command");
    }
    fclose(in);
    fclose(out);
  } else {
    fail("wrong arguments");
  }
  return 0;
}
