/* Networks in a partition of their own; see kmtl_image.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "kmtl_image.h"

#include <string.h>

#define BLOCK_BYTES ((size_t)64)
#define LENGTH_BYTES ((size_t)8)
#define HEADER_BYTES ((size_t)52)
#define ENTRY_BYTES ((size_t)8)
#define MODEL_ALIGNMENT ((uint32_t)16)

/* Fractional parts of the cube roots of the first 64 primes, and of the square roots of the first eight. */
static const uint32_t rounds[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u,
    0x923f82a4u, 0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u,
    0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u,
    0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u,
    0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u,
    0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au,
    0x5b9cca4fu, 0x682e6ff3u, 0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u,
    0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};
static const uint32_t begin[8] = {
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu,
    0x1f83d9abu, 0x5be0cd19u,
};

static uint32_t rotated(uint32_t word, unsigned int by) { return (word >> by) | (word << (32u - by)); }

static void mix(uint32_t *state, const uint8_t *block) {
  uint32_t words[64];
  uint32_t now[8];
  unsigned int k;

  for (k = 0u; k < 16u; k++) {
    words[k] = ((uint32_t)block[4u * k] << 24) | ((uint32_t)block[(4u * k) + 1u] << 16) |
               ((uint32_t)block[(4u * k) + 2u] << 8) | (uint32_t)block[(4u * k) + 3u];
  }
  for (k = 16u; k < 64u; k++) {
    const uint32_t early = words[k - 15u];
    const uint32_t late = words[k - 2u];
    words[k] = words[k - 16u] + (rotated(early, 7u) ^ rotated(early, 18u) ^ (early >> 3)) + words[k - 7u] +
               (rotated(late, 17u) ^ rotated(late, 19u) ^ (late >> 10));
  }
  (void)memcpy(now, state, sizeof(now));
  for (k = 0u; k < 64u; k++) {
    const uint32_t choice = (now[4] & now[5]) ^ (~now[4] & now[6]);
    const uint32_t majority = (now[0] & now[1]) ^ (now[0] & now[2]) ^ (now[1] & now[2]);
    const uint32_t one = now[7] + (rotated(now[4], 6u) ^ rotated(now[4], 11u) ^ rotated(now[4], 25u)) + choice +
                         rounds[k] + words[k];
    const uint32_t two = (rotated(now[0], 2u) ^ rotated(now[0], 13u) ^ rotated(now[0], 22u)) + majority;
    (void)memmove(&now[1], &now[0], 7u * sizeof(now[0]));
    now[4] += one;
    now[0] = one + two;
  }
  for (k = 0u; k < 8u; k++) {
    state[k] += now[k];
  }
}

void kmtl_sha256(const uint8_t *message, size_t bytes, uint8_t *digest) {
  const uint64_t bits = (uint64_t)bytes * 8u;
  uint32_t state[8];
  uint8_t block[64];
  size_t left = bytes;
  unsigned int k;

  (void)memcpy(state, begin, sizeof(state));
  while (left >= BLOCK_BYTES) {
    mix(state, message);
    message += BLOCK_BYTES;
    left -= BLOCK_BYTES;
  }
  (void)memset(block, 0, sizeof(block));
  (void)memcpy(block, message, left);
  block[left] = 0x80u;
  if (left >= (BLOCK_BYTES - LENGTH_BYTES)) {
    mix(state, block);
    (void)memset(block, 0, sizeof(block));
  }
  for (k = 0u; k < 8u; k++) {
    block[63u - k] = (uint8_t)(bits >> (8u * k));
  }
  mix(state, block);
  for (k = 0u; k < KMTL_SHA256_BYTES; k++) {
    digest[k] = (uint8_t)(state[k / 4u] >> (24u - (8u * (k % 4u))));
  }
}

static uint32_t number(const uint8_t *at) {
  return (uint32_t)at[0] | ((uint32_t)at[1] << 8) | ((uint32_t)at[2] << 16) | ((uint32_t)at[3] << 24);
}

kmtl_image_status_t kmtl_image_open(const void *place, size_t room, const uint8_t *interface, uint32_t least_version,
                                    const unsigned char **models, size_t count) {
  static const uint8_t magic[8] = {'K', 'M', 'T', 'L', 'I', 'M', 'G', '1'};
  const uint8_t *const image = (const uint8_t *)place;
  const size_t table = HEADER_BYTES + (count * ENTRY_BYTES);
  uint8_t digest[KMTL_SHA256_BYTES];
  size_t bytes;
  size_t k;

  if ((image == NULL) || (room < HEADER_BYTES) || (memcmp(image, magic, sizeof(magic)) != 0)) {
    return KMTL_IMAGE_NONE;
  }
  bytes = (size_t)number(&image[8]);
  if ((bytes > room) || (bytes < (HEADER_BYTES + KMTL_SHA256_BYTES))) {
    return KMTL_IMAGE_DAMAGED;
  }
  bytes -= KMTL_SHA256_BYTES;
  kmtl_sha256(image, bytes, digest);
  if (memcmp(digest, &image[bytes], sizeof(digest)) != 0) {
    return KMTL_IMAGE_DAMAGED;
  }
  if ((memcmp(&image[16], interface, KMTL_SHA256_BYTES) != 0) || (number(&image[48]) != count)) {
    return KMTL_IMAGE_OTHER;
  }
  if (number(&image[12]) < least_version) {
    return KMTL_IMAGE_OLD;
  }
  if (table > bytes) {
    return KMTL_IMAGE_DAMAGED;
  }
  for (k = 0u; k < count; k++) {
    const uint32_t offset = number(&image[HEADER_BYTES + (k * ENTRY_BYTES)]);
    const uint32_t size = number(&image[HEADER_BYTES + (k * ENTRY_BYTES) + 4u]);
    if ((offset < table) || (offset > bytes) || (size > (bytes - offset)) || ((offset % MODEL_ALIGNMENT) != 0u)) {
      return KMTL_IMAGE_DAMAGED;
    }
  }
  for (k = 0u; k < count; k++) {
    models[k] = &image[number(&image[HEADER_BYTES + (k * ENTRY_BYTES)])];
  }
  return KMTL_IMAGE_OK;
}
