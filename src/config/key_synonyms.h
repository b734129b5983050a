/* The names that other programs give to our keys, for better messages. */
#ifndef UDPRELAYD_CONFIG_KEY_SYNONYMS_H
#define UDPRELAYD_CONFIG_KEY_SYNONYMS_H

#include "config/section_kind.h"

/* Returns our key for this name in the section, a static string, or NULL. */
const char *config_key_synonym(enum section_kind section, const char *name);

#endif
