/* One field of a small configuration, for calling setters without a file. The file includes cmocka.h before this. */
#ifndef UDPRELAYD_SETTER_FIXTURE_H
#define UDPRELAYD_SETTER_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "config/setters.h"

struct fixture {
	struct config config;
	struct listener_config listener;
	struct peer_config peers[8]; /* of which the first two exist: a and b */
	struct diagnostics diagnostics;
	struct ini_entry entry;
	struct config_field field; /* in line 7 */
};

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->peers[0].name = (char *)"a";
	f->peers[1].name = (char *)"b";
	f->config.peers = f->peers;
	f->config.peer_count = 2;
	f->entry.line = 7;
	f->field = (struct config_field){.config = &f->config,
					 .listener = &f->listener,
					 .peer = &f->peers[0],
					 .diagnostics = &f->diagnostics,
					 .section = "s",
					 .name = "k",
					 .line = 7,
					 .entry = &f->entry};
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->listener.encoding_count; i++)
		free(f->listener.encodings[i]);
	for (size_t i = 0; i < f->listener.bind_count; i++)
		free(f->listener.binds[i].text);
	free(f->listener.encodings);
	free(f->listener.binds);
	free(f->listener.peers);
	free(f->listener.groups);
	prefix_set_destroy(f->listener.deny);
	free(f->config.user.name);
	free(f->config.datagram_log.path);
	free(f->peers[0].address_text);
	free(f->peers[0].host);
	free(f->peers[0].check.send.bytes);
	free(f->peers[0].check.expect.bytes);
	diagnostics_finish(&f->diagnostics);
	free(f);
	return 0;
}

static inline void assert_error(const struct fixture *f, size_t i, unsigned line, const char *text)
{
	assert_true(i < f->diagnostics.count);
	assert_int_equal(f->diagnostics.items[i].line, line);
	if (!strstr(f->diagnostics.items[i].text, text))
		fail_msg("expected `%s` in `%s`", text, f->diagnostics.items[i].text);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
