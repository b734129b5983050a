/* The INI file, read and checked whole. */
#ifndef UDPRELAYD_CONFIG_CONFIG_H
#define UDPRELAYD_CONFIG_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/log.h"
#include "base/port_set.h"
#include "base/prefix_set.h"
#include "config/action.h"
#include "text/codec.h"

#define CONFIG_DATAGRAM_MAX 65527 /* the most that UDP carries, over IPv6: 65535 less its header of 8 bytes */
#define CONFIG_PAYLOAD_MAX 1024 /* bytes of struct payload */

/* Which peer a relay's new session goes to. */
enum balance {
	BALANCE_HASH, /* by the client's address: Maglev, the same choice on every host with the same targets */
	BALANCE_ROUND_ROBIN,
	BALANCE_RANDOM,
	BALANCE_LEAST_SESSIONS,
	BALANCE_FAILOVER, /* the first that is up */
};

#define RESPONSES_UNLIMITED UINT32_MAX

enum log_target { LOG_TARGET_OFF, LOG_TARGET_STDERR, LOG_TARGET_STDOUT, LOG_TARGET_FILE };

struct key_line {
	const char *key;
	unsigned line;
};

/* Where a section stands in the file, and the keys that were written in it. */
struct section_lines {
	unsigned line;
	struct key_line *keys;
	size_t count;
};

struct payload {
	uint8_t *bytes; /* NULL: none */
	size_t size;
};

struct peer_config {
	char *name;
	struct section_lines lines;
	size_t index; /* in config.peers */
	unsigned line; /* of its address */
	char *address_text; /* as written */
	char *host; /* a name to look up, or NULL where address is known */
	struct address address; /* without a host: where to send; with one: only the port counts */
	char *encoding; /* NULL: bytes pass untouched */
	uint64_t resolve_interval_ms;

	/* For relays. */
	uint32_t weight; /* its share of the sessions, from 1 */
	bool backup; /* used only when no other peer is up */
	uint32_t max_fails; /* ICMP errors in a row, after which it rests; 0: they are not minded */
	uint64_t fail_timeout_ms; /* how long it rests */
	struct {
		bool on;
		struct payload send, expect; /* nothing expected: silence will do, too */
		uint64_t interval_ms, timeout_ms;
		uint32_t rise, fall; /* checks in a row, that bring it up or down */
	} check;
};

struct bind_config {
	char *text; /* as written */
	unsigned line; /* 0: in no file, but on a command line */
	bool any; /* '*:PORT': a socket of each family; then only the port of address counts */
	char *fd_name; /* 'fd:NAME': the sockets that systemd passes by this name; then address is nothing. Or NULL */
	struct address address;
};

struct multicast_config {
	struct address group; /* port 0 */
	char interface[IF_NAMESIZE]; /* "" lets the kernel choose */
};

/* An address as it is bound: one, or the wildcards of both families, or none before systemd has passed it. */
#define BIND_ADDRESSES_MAX 2

struct listener_config {
	char *name;
	struct section_lines lines;
	size_t index; /* in config.listeners */
	struct bind_config *binds;
	size_t bind_count;
	enum action_kind action;
	struct peer_config **peers; /* into config.peers */
	size_t peer_count;
	char **encodings;
	size_t encoding_count;
	enum codec_errors errors;
	uint32_t log_every; /* a record for each Nth datagram; 0: none */
	char interface[IF_NAMESIZE]; /* bind to this device; "": none */
	unsigned interface_line;
	struct multicast_config *groups;
	size_t group_count;
	unsigned multicast_line;
	bool freebind;
	int receive_buffer, send_buffer; /* bytes */
	uint32_t max_datagram; /* bytes */
	bool loop_guard;
	struct port_set *refuse_source_ports;
	bool refuses_default_ports; /* nothing was written: the ports that echo listeners get are refused, too */
	bool ring_guard; /* of an echo or forward */
	uint32_t source_limit; /* datagrams a second from one source; 0: no limit */
	uint32_t source_burst; /* datagrams at once; 0: as many as in a second */
	struct prefix_set *allow, *deny; /* sources; NULL: no such list */

	/* Of a relay. */
	enum balance balance;
	uint64_t idle_timeout_ms;
	uint32_t max_sessions; /* of all workers together */
	uint32_t responses; /* answers to each datagram of a client; 0: none is waited for; or RESPONSES_UNLIMITED */
};

struct config {
	char *path;
	unsigned workers; /* 0: one for each CPU */
	struct {
		char *name; /* as written; NULL: stay who we are */
		unsigned line;
		bool has_group; /* gid is known: it was written, or it is the user's own */
		uid_t uid;
		gid_t gid;
	} user; /* to become after the start, by root */
	enum log_level log_level;
	enum log_format log_format;
	struct {
		enum log_target target;
		char *path; /* of LOG_TARGET_FILE */
		unsigned line; /* of the target */
		enum log_format format;
		uint32_t payload; /* bytes of payload in a record */
		uint32_t queue; /* records that may wait for the writer */
		bool vital; /* nothing else is wanted: when nobody reads the pipe any more, all ends */
	} datagram_log;
	struct {
		char *text; /* the address as written; NULL: off */
		unsigned line;
		struct address address; /* no wildcard */
	} http;
	struct listener_config *listeners;
	size_t listener_count;
	struct peer_config *peers;
	size_t peer_count;
};

/* Reads the file, which is a regular one. Errors are written to errors as "FILE:LINE: [section] key: what is wrong and
 * what would be right", in the order of the lines; of many the first, and how many more there are. Returns the
 * configuration, or NULL after at least one error. */
struct config *config_load(const char *path, FILE *errors);

/* The same for an open stream, which path names in messages. */
struct config *config_load_stream(const char *path, FILE *in, FILE *errors);

/* The addresses of bind. Returns how many. */
size_t config_bind_addresses(const struct bind_config *bind, struct address addresses[BIND_ADDRESSES_MAX]);

/* The line of a key in its section; 0: it was not written, and has its default. */
unsigned config_line(const struct section_lines *lines, const char *key);

/* The index of the listener or peer of that name, or how many there are. */
size_t config_find_listener(const struct config *config, const char *name);
size_t config_find_peer(const struct config *config, const char *name);

/* The sum of max_sessions over all relays. */
uint64_t config_max_sessions(const struct config *config);

/* NULL is accepted. */
void config_destroy(struct config *config);

#endif
