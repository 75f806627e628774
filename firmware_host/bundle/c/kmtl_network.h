/* How the sources of a bundle call its networks.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#ifndef KMTL_NETWORK_H_
#define KMTL_NETWORK_H_

#ifdef __cplusplus
extern "C" {
#endif

/* One inference of a network of the bundle, by its number, as NAME_run of its networks' header. Pointers to the elements of
 * each input, and to room for those of each output, in the file's order; a null pointer is an output that is not
 * wanted. An output may lie where an input is: all inputs are read before any output is written. 0: done. */
typedef int (*kmtl_run_t)(void *context, int network, const void *const *inputs, void *const *outputs);

#ifdef __cplusplus
}
#endif

#endif /* KMTL_NETWORK_H_ */
