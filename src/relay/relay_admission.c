/* Whether a new client gets a session, and which session it replaces if there are too many. */
#include "relay/relay_private.h"

/* Sessions of other sources that are examined to find one of the new client's source. */
#define SEARCH_MAX 64

/* Returns the least recently used session of those that do not converse, or NULL. If source_place is not
 * SOURCE_NOT_COUNTED, it is of this source, and only the first sessions are examined. No chunk of the current batch may
 * use it. */
static struct session *relay_find_replaceable(const struct relay *relay, uint32_t source_place)
{
	bool any = source_place == SOURCE_NOT_COUNTED;

	for (int i = SESSION_SINGLE; i < SESSION_CONVERSATION; i++) {
		struct session_node *node = TAILQ_FIRST(session_table_lru(relay->table, (enum session_class)i));

		for (unsigned j = 0; node && j < (any ? 1 : SEARCH_MAX); j++, node = TAILQ_NEXT(node, lru)) {
			struct session *session = session_of(node);

			if (session->client_batch != relay->batch && (any || session->source_place == source_place))
				return session;
		}
	}
	return NULL;
}

/* The new session takes the place of the other one in the quota. */
static bool relay_replace_session(struct relay *relay)
{
	struct session *session = relay_find_replaceable(relay, SOURCE_NOT_COUNTED);

	if (session)
		relay_close_session(relay, session, SESSION_END_REPLACED);
	return session;
}

static bool relay_take_quota(struct relay *relay)
{
	struct session_quota *quota = relay->setup.quota;
	bool replaced;

	if (session_quota_acquire(quota))
		return true;
	replaced = relay_replace_session(relay);
	log_write_limited(relay->setup.log, &relay->full_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: all %u sessions are in use (max_sessions); %s", relay->setup.config->name,
			  quota->max,
			  replaced ? "new clients replace sessions without a conversation" : "new clients are dropped");
	return replaced;
}

/* A forger can use up the sessions of a source with datagrams in its name. So a new client of the source replaces one
 * of them. */
static bool relay_take_source_quota(struct relay *relay, const struct address *client, uint32_t *place)
{
	const struct listener_config *config = relay->setup.config;
	struct session_quota *quota = relay->setup.quota;
	struct session *replaced;
	char text[ADDRESS_TEXT_MAX];

	if (source_quota_acquire(quota, client, false, place))
		return true;
	replaced = relay_find_replaceable(relay, *place);
	if (replaced)
		relay_end_session(relay, replaced, SESSION_END_REPLACED);
	log_write_limited(relay->setup.log, &relay->source_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: the source of %s has %u sessions (source_sessions); its new clients %s",
			  config->name, address_format(client, text), config->source_sessions,
			  replaced ? "replace its sessions without a conversation" : "are dropped");
	return replaced && source_quota_acquire(quota, client, false, place);
}

enum drop_reason relay_acquire(struct relay *relay, const struct address *client, uint32_t *source_place)
{
	if (!relay_take_source_quota(relay, client, source_place))
		return DROP_SOURCE_SESSIONS;
	if (relay_take_quota(relay))
		return DROP_NONE;
	source_quota_release(relay->setup.quota, *source_place);
	return DROP_SESSION_LIMIT;
}
