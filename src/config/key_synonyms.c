#include "config/key_synonyms.h"

#include <stddef.h>
#include <strings.h>

static const struct key_synonym {
	enum section_kind section;
	const char *name, *key;
} synonyms[] = {
	{SECTION_LISTENER, "listen", "address"},
	{SECTION_LISTENER, "bind", "address"},
	{SECTION_LISTENER, "port", "address"},
	{SECTION_LISTENER, "buffersize", "receive_buffer"},
	{SECTION_LISTENER, "buffer_size", "receive_buffer"},
	{SECTION_LISTENER, "buffer", "receive_buffer"},
	{SECTION_LISTENER, "rcvbuf", "receive_buffer"},
	{SECTION_LISTENER, "sndbuf", "send_buffer"},
	{SECTION_LISTENER, "charset", "encoding"},
	{SECTION_LISTENER, "timeout", "idle_timeout"},
	{SECTION_LISTENER, "proxy_timeout", "idle_timeout"},
	{SECTION_LISTENER, "proxy_responses", "responses"},
	{SECTION_LISTENER, "mode", "action"},
	{SECTION_LISTENER, "upstream", "peers"},
	{SECTION_LISTENER, "target", "peers"},
	{SECTION_LISTENER, "server", "peers"},
	{SECTION_DATAGRAM_LOG, "file", "target"},
	{SECTION_DATAGRAM_LOG, "path", "target"},
	{SECTION_PEER, "host", "address"},
	{SECTION_PEER, "server", "address"},
	{SECTION_PEER, "target", "address"},
	{SECTION_PEER, "charset", "encoding"},
};

const char *config_key_synonym(enum section_kind section, const char *name)
{
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++) {
		if (synonyms[i].section == section && !strcasecmp(synonyms[i].name, name))
			return synonyms[i].key;
	}
	return NULL;
}
