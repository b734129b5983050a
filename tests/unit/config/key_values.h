/* Tests the values of one key in a small configuration. The file includes cmocka.h before this. */
#ifndef UDPRELAYD_KEY_VALUES_H
#define UDPRELAYD_KEY_VALUES_H

#include "tests/unit/support/config_text.h"

#define ECHO "[listener:e]\naddress = *:7788\naction = echo\n"
#define PEER "[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\naddress = 192.0.2.1:1\n"
#define CHECKED PEER "check = on\n"
#define RELAY "[peer:p]\naddress = 192.0.2.1:1\n[listener:e]\naddress = *:7788\naction = relay\npeers = p\n"

static inline const struct listener_config *listener(const struct config *config)
{
	return &config->listeners[0];
}

static inline const struct peer_config *peer(const struct config *config)
{
	return &config->peers[0];
}

/* Loads the text with one more line, and asserts the condition `check` on the configuration c. */
#define assert_loaded(text, line, check)                                                                               \
	do {                                                                                                           \
		struct config *c = good(text line "\n");                                                               \
		assert_true(check);                                                                                    \
		config_destroy(c);                                                                                     \
	} while (0)

/* Each of the values, which are separated by '|', must give exactly one error: in the line after `begin`, and with a
 * message that begins with `expected`. */
static inline void assert_rejected(const char *begin, const char *key, const char *values, const char *expected)
{
	char *copy = strdup(values), *rest = copy, *value, text[512], message[128], lines = 1;

	for (const char *c = begin; *c; c++)
		lines = (char)(lines + (*c == '\n'));
	while ((value = strsep(&rest, "|"))) {
		snprintf(text, sizeof(text), "%s%s = %s\n", begin, key, value);
		snprintf(message, sizeof(message), "%d: %s", lines, expected);
		refused(text, message);
	}
	free(copy);
}

#endif
