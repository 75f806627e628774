/* Hears samples by the listener of a small streaming artifact; its networks answer with what was recorded.
 *
 *   listen SAMPLES OUT PUSH FAIL (CALLS)...
 *     SAMPLES  int16; OUT gets what was heard, rows of 64-bit numbers
 *     PUSH     samples of a push: 1 or more; 0: of random sizes
 *     FAIL     a call of a network that fails, counted from 1; 0: none
 *     CALLS    folders with `networks` and `calls_N`: one for each listener (their memories are apart); they push in turn
 *
 * A network's call must have the inputs of the recorded one, but that log-mel may be one step apart: the front ends of
 * C and of Python round differently. After a failure, and once at the end, listeners are reset and hear all of it again:
 * that must give the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listener.h"

#define MOST_LISTENERS 2
#define MOST_NETWORKS 8
#define MOST_ENDS 4
#define MOST_BYTES 256
#define MOST_SAMPLES 160000
#define MOST_PUSH 30000u

typedef struct {
  uint32_t inputs, outputs;
  uint32_t input_bytes[MOST_ENDS], output_bytes[MOST_ENDS];
  FILE *calls;
} network_t;

typedef struct {
  small_listener_t listener;
  network_t networks[MOST_NETWORKS];
  uint32_t count;
  uint32_t calls;
  uint32_t fail;
  int32_t apart;
  size_t next;
  bool sounded;
} job_t;

static job_t jobs[MOST_LISTENERS];
static int16_t samples[MOST_SAMPLES];
static FILE *out;

static void fail(const char *what) {
  fprintf(stderr, "listen: %s\n", what);
  exit(2);
}

static FILE *opened(const char *folder, const char *name, const char *mode) {
  char path[128];
  FILE *file;
  (void)snprintf(path, sizeof path, "%s%s%s", folder, (folder[0] == '\0') ? "" : "/", name);
  file = fopen(path, mode);
  if (file == NULL) {
    fail(path);
  }
  return file;
}

static void get(FILE *file, void *data, size_t bytes) {
  if (fread(data, 1u, bytes, file) != bytes) {
    fail("a network is called more often than it was");
  }
}

static int32_t apart(const void *one, const void *other, size_t bytes) {
  const bool narrow = sizeof(jobs[0].listener.log_mel[0]) == 1u;
  const size_t count = narrow ? bytes : bytes / 2u;
  int32_t most = 0;
  size_t k;
  for (k = 0u; k < count; k++) {
    const int32_t a = narrow ? ((const int8_t *)one)[k] : ((const int16_t *)one)[k];
    const int32_t b = narrow ? ((const int8_t *)other)[k] : ((const int16_t *)other)[k];
    const int32_t difference = (a > b) ? a - b : b - a;
    most = (difference > most) ? difference : most;
  }
  return most;
}

static int run(void *context, int number, const void *const *inputs, void *const *outputs) {
  job_t *const job = (job_t *)context;
  network_t *const network = &job->networks[number];
  int16_t room[MOST_BYTES / 2];
  uint32_t k;
  job->calls++;
  if (job->calls == job->fail) {
    return 1;
  }
  for (k = 0u; k < network->inputs; k++) {
    get(network->calls, room, network->input_bytes[k]);
    if ((number == 0) && (k == 0u)) {
      const int32_t found = apart(room, inputs[k], network->input_bytes[k]);
      job->apart = (found > job->apart) ? found : job->apart;
    } else if (memcmp(room, inputs[k], network->input_bytes[k]) != 0) {
      fail("a network is called with something else");
    } else {
      /* As recorded. */
    }
  }
  for (k = 0u; k < network->outputs; k++) {
    get(network->calls, room, network->output_bytes[k]);
    if (outputs[k] != NULL) {
      (void)memcpy(outputs[k], room, network->output_bytes[k]);
    }
  }
  return 0;
}

static void open_calls(job_t *job, const char *folder) {
  FILE *const file = opened(folder, "networks", "rb");
  uint32_t k;
  get(file, &job->count, sizeof job->count);
  for (k = 0u; k < job->count; k++) {
    char name[32];
    network_t *const network = &job->networks[k];
    get(file, &network->inputs, sizeof network->inputs);
    get(file, &network->outputs, sizeof network->outputs);
    get(file, network->input_bytes, network->inputs * sizeof(uint32_t));
    get(file, network->output_bytes, network->outputs * sizeof(uint32_t));
    (void)snprintf(name, sizeof name, "calls_%u", (unsigned)k);
    network->calls = opened(folder, name, "rb");
  }
  fclose(file);
}

static void begin(job_t *job) {
  uint32_t k;
  for (k = 0u; k < job->count; k++) {
    rewind(job->networks[k].calls);
  }
  job->calls = 0u;
  job->next = 0u;
}

static void poll(job_t *job) {
  kmtl_listener_t *const listener = &job->listener.listener;
  kmtl_heard_t heard;
  while (kmtl_listener_poll(listener, &heard)) {
    const bool is_scene = heard.kind == KMTL_HEARD_SCENE;
    const int64_t row[9] = {job - jobs, (int64_t)heard.kind, heard.label, heard.step, heard.onset, (int64_t)heard.ms,
                            (int64_t)heard.onset_ms, heard.score_sum, listener->heard};
    if (fwrite(row, 1u, sizeof row, out) != sizeof row) {
      fail("can't write");
    }
    if (is_scene && (kmtl_listener_scene(listener) != heard.label)) {
      fail("the scene is another one");
    }
    job->sounded = job->sounded || (!is_scene && kmtl_listener_active(listener, heard.label));
  }
}

/* Pushes of all listeners in turn, until there are no samples. Returns how many failed. */
static int hear(size_t count, size_t size, int listeners) {
  static uint32_t seed = 1u;
  int busy = listeners, failed = 0, k;
  while (busy > 0) {
    for (k = 0; k < listeners; k++) {
      job_t *const job = &jobs[k];
      size_t most = size, taken;
      if (job->next == count) {
        continue;
      }
      if (size == 0u) {
        seed = (seed * 1664525u) + 1013904223u;
        most = (seed >> 8) % MOST_PUSH;
      }
      most = ((count - job->next) < most) ? (count - job->next) : most;
      if (kmtl_listener_push(&job->listener.listener, &samples[job->next], most, &taken)) {
        job->next += taken;
      } else {
        job->next = count;
        failed++;
      }
      poll(job);
      busy -= (job->next == count) ? 1 : 0;
    }
  }
  for (k = 0; k < listeners; k++) {
    failed += kmtl_listener_finish(&jobs[k].listener.listener) ? 0 : 1;
    poll(&jobs[k]);
  }
  return failed;
}

int main(int argc, char **argv) {
  const int listeners = argc - 5;
  FILE *file;
  size_t count;
  int k, failed;
  if ((listeners < 1) || (listeners > MOST_LISTENERS)) {
    fail("wrong arguments");
  }
  file = opened("", argv[1], "rb");
  count = fread(samples, sizeof samples[0], MOST_SAMPLES, file);
  fclose(file);
  out = opened("", argv[2], "wb");
  for (k = 0; k < listeners; k++) {
    open_calls(&jobs[k], argv[5 + k]);
    begin(&jobs[k]);
    jobs[k].fail = (k == 0) ? (uint32_t)strtoul(argv[4], NULL, 10) : 0u;
    small_listener_init(&jobs[k].listener, run, &jobs[k]);
  }
  failed = hear(count, (size_t)strtoul(argv[3], NULL, 10), listeners);
  printf("failed %d\n", failed);
  fclose(out);
  out = opened("", "again", "wb");
  for (k = 0; k < listeners; k++) {
    begin(&jobs[k]);
    jobs[k].fail = 0u;
    kmtl_listener_reset(&jobs[k].listener.listener);
  }
  if (hear(count, MOST_SAMPLES, listeners) != 0) {
    fail("a listener that was reset fails");
  }
  fclose(out);
  for (k = 0; k < listeners; k++) {
    uint32_t network;
    for (network = 0u; network < jobs[k].count; network++) {
      if (fgetc(jobs[k].networks[network].calls) != EOF) {
        fail("a network is called less often than it was");
      }
    }
    if (kmtl_listener_active(&jobs[k].listener.listener, 0u)) {
      fail("an event sounds after the end");
    }
    printf("apart %d\nsounded %d\n", (int)jobs[k].apart, jobs[k].sounded ? 1 : 0);
  }
  printf("bytes %u\nbuffers %u\n", (unsigned)sizeof(small_listener_t), (unsigned)SMALL_LISTENER_BUFFER_BYTES);
  return 0;
}
