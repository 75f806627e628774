/* Declarations of ESP-IDF's I2S driver for PDM microphones, as far as examples call it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "esp_err.h"
typedef struct i2s_channel_obj_t *i2s_chan_handle_t;
typedef enum { GPIO_NUM_41 = 41, GPIO_NUM_42 = 42 } gpio_num_t;
typedef enum { I2S_NUM_0 } i2s_port_t;
typedef enum { I2S_ROLE_MASTER } i2s_role_t;
typedef enum { I2S_DATA_BIT_WIDTH_16BIT = 16 } i2s_data_bit_width_t;
typedef enum { I2S_SLOT_MODE_MONO = 1 } i2s_slot_mode_t;
typedef struct { i2s_port_t id; i2s_role_t role; uint32_t dma_desc_num; uint32_t dma_frame_num; } i2s_chan_config_t;
typedef struct { uint32_t sample_rate_hz; } i2s_pdm_rx_clk_config_t;
typedef struct { i2s_data_bit_width_t data_bit_width; i2s_slot_mode_t slot_mode; } i2s_pdm_rx_slot_config_t;
typedef struct { gpio_num_t clk; gpio_num_t din; struct { uint32_t clk_inv : 1; } invert_flags; } i2s_pdm_rx_gpio_config_t;
typedef struct {
  i2s_pdm_rx_clk_config_t clk_cfg;
  i2s_pdm_rx_slot_config_t slot_cfg;
  i2s_pdm_rx_gpio_config_t gpio_cfg;
} i2s_pdm_rx_config_t;
#define I2S_CHANNEL_DEFAULT_CONFIG(num, part) {.id = num, .role = part, .dma_desc_num = 6, .dma_frame_num = 240}
#define I2S_PDM_RX_CLK_DEFAULT_CONFIG(rate) {.sample_rate_hz = rate}
#define I2S_PDM_RX_SLOT_DEFAULT_CONFIG(bits, mode) {.data_bit_width = bits, .slot_mode = mode}
esp_err_t i2s_new_channel(const i2s_chan_config_t *config, i2s_chan_handle_t *tx, i2s_chan_handle_t *rx);
esp_err_t i2s_channel_init_pdm_rx_mode(i2s_chan_handle_t handle, const i2s_pdm_rx_config_t *config);
esp_err_t i2s_channel_enable(i2s_chan_handle_t handle);
esp_err_t i2s_channel_read(i2s_chan_handle_t handle, void *dest, size_t size, size_t *bytes_read, uint32_t timeout_ms);
