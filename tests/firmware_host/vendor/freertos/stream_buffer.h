/* Declarations of FreeRTOS's stream buffers, as far as examples call them. */
#pragma once
#include "freertos/FreeRTOS.h"
typedef struct StreamBufferDef_t *StreamBufferHandle_t;
StreamBufferHandle_t xStreamBufferCreate(size_t bytes, size_t trigger);
size_t xStreamBufferSend(StreamBufferHandle_t buffer, const void *data, size_t bytes, TickType_t wait);
size_t xStreamBufferReceive(StreamBufferHandle_t buffer, void *data, size_t bytes, TickType_t wait);
size_t xStreamBufferSpacesAvailable(StreamBufferHandle_t buffer);
