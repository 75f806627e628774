/* Runs a bundle's self-test on an emulated Cortex-M, with its networks in the real TensorFlow Lite Micro on the host:
 * their inputs and outputs go through two named pipes, over the emulator's files (serve_networks.py is the other end).
 *
 * Compiled with SELFTEST set to the name of the bundle's self-test. First the host tells how many networks there are,
 * and of each how many inputs and outputs and how many bytes of each; then, for every call, the number of the network
 * and the inputs go out, and the outputs come in. All numbers are 32 bits. */
#include <stdint.h>
#include <stdio.h>

#include "selftest.h"

#define MOST_NETWORKS 16
#define MOST_ENDS 16

typedef struct {
  uint32_t inputs, outputs;
  uint32_t input_bytes[MOST_ENDS], output_bytes[MOST_ENDS];
} network_t;

static network_t networks[MOST_NETWORKS];
static uint32_t count;
static FILE *requests, *answers;

static int got(void *data, size_t bytes) { return fread(data, 1u, bytes, answers) == bytes; }
/* An output that is not wanted. */
static int dropped(size_t bytes) {
  char byte;
  while ((bytes > 0u) && got(&byte, 1u)) {
    bytes--;
  }
  return bytes == 0u;
}

static int sent(const void *data, size_t bytes) { return fwrite(data, 1u, bytes, requests) == bytes; }

static int run(void *context, int network, const void *const *inputs, void *const *outputs) {
  const network_t *const known = &networks[network];
  uint32_t k;
  (void)context;
  if (!sent(&network, sizeof network)) {
    return 1;
  }
  for (k = 0u; k < known->inputs; k++) {
    if (!sent(inputs[k], known->input_bytes[k])) {
      return 1;
    }
  }
  (void)fflush(requests);
  for (k = 0u; k < known->outputs; k++) {
    const int done = (outputs[k] == NULL) ? dropped(known->output_bytes[k]) : got(outputs[k], known->output_bytes[k]);
    if (!done) {
      return 1;
    }
  }
  return 0;
}

static void print_line(const char *line) { (void)puts(line); }

int main(void) {
  uint32_t k;
  requests = fopen("requests", "wb");
  answers = fopen("answers", "rb");
  if ((requests == NULL) || (answers == NULL) || !got(&count, sizeof count) || (count > MOST_NETWORKS)) {
    return 99;
  }
  for (k = 0u; k < count; k++) {
    network_t *const network = &networks[k];
    if (!got(&network->inputs, sizeof network->inputs) || !got(&network->outputs, sizeof network->outputs) ||
        (network->inputs > MOST_ENDS) || (network->outputs > MOST_ENDS) ||
        !got(network->input_bytes, network->inputs * sizeof(uint32_t)) ||
        !got(network->output_bytes, network->outputs * sizeof(uint32_t))) {
      return 98;
    }
  }
  return SELFTEST(run, NULL, print_line);
}
