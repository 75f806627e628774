/* Networks in a partition of their own, so that they can be replaced over the air without the firmware.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0
 *
 * An image holds the files of all networks, a version, and the digest of what the firmware has compiled in around them
 * (shapes, quantization, operators, labels, decoding). It fits a firmware of the same digest only.
 *
 * Numbers are little-endian; offsets count from the image's first byte:
 *
 *   0   "KMTLIMG1"
 *   8   bytes of the image, its digest included
 *   12  version of the model
 *   16  digest of what surrounds the networks, 32 bytes
 *   48  number of networks, then of each its offset (a multiple of 16) and its bytes
 *   ... the files
 *   end SHA-256 of all before it, 32 bytes
 *
 * The digests find damage and mistakes. They are no signature: an updater must know who sent an image.
 */
#ifndef KMTL_IMAGE_H_
#define KMTL_IMAGE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KMTL_SHA256_BYTES 32

typedef enum {
  KMTL_IMAGE_OK = 0,
  KMTL_IMAGE_NONE = 1,    /* no image: an erased partition */
  KMTL_IMAGE_DAMAGED = 2, /* larger than its place, or its bytes are not those that were written */
  KMTL_IMAGE_OTHER = 3,   /* for a firmware with other settings, operators or labels */
  KMTL_IMAGE_OLD = 4      /* its version is below the least one */
} kmtl_image_status_t;

/* Checks an image and finds its networks.
 * place          the partition, in memory that can be read as such, aligned to 16.
 * room           its bytes.
 * interface      what the firmware has compiled in around its networks: NAME_image_interface.
 * least_version  older ones are refused.
 * models, count  get the first byte of each network; count is NAME_NETWORKS. Written only where all is well.
 * Reads the whole image once, and takes about 600 bytes of stack. */
kmtl_image_status_t kmtl_image_open(const void *place, size_t room, const uint8_t *interface, uint32_t least_version,
                                    const unsigned char **models, size_t count);

/* SHA-256 (FIPS 180-4) of a message, into [KMTL_SHA256_BYTES]. */
void kmtl_sha256(const uint8_t *message, size_t bytes, uint8_t *digest);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_IMAGE_H_ */
