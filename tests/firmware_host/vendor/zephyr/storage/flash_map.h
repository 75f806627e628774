/* Declarations of Zephyr's flash map, as far as examples call it: one partition, where model_partition is defined. */
#pragma once
#define CONFIG_FLASH_BASE_ADDRESS 0x08000000
#define FIXED_PARTITION_EXISTS(label) MODEL_PARTITION
#define FIXED_PARTITION_OFFSET(label) 0x100000
#define FIXED_PARTITION_SIZE(label) 0x20000
