/* In transform_functions.h.
 * Part of keras_mtl. SPDX-License-Identifier: Apache-2.0 */
#include "transform_functions.h"
