/* The configuration of the daemon, read from an INI file.
 *
 * struct config is the result of reading and validating the whole file. The caller of config_load() owns it and frees
 * it with config_destroy(); other modules borrow it and only read it. A file with any error gives no configuration: all
 * errors are collected and written together, each with its line and a fix. Allocation failures abort the program. */
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

#define CONFIG_DATAGRAM_MAX 65527 /* largest UDP payload in bytes, over IPv6: 65535 minus the 8-byte UDP header */
#define CONFIG_PAYLOAD_MAX 1024 /* largest struct payload in bytes */

/* Longest name of a peer in bytes, without the NUL. */
#define PEER_NAME_MAX 128

/* How a relay chooses the peer of a new session. */
enum balance {
	BALANCE_HASH, /* by the client's address, with Maglev: hosts with the same endpoints make the same choice */
	BALANCE_ROUND_ROBIN,
	BALANCE_RANDOM,
	BALANCE_LEAST_SESSIONS,
	BALANCE_FAILOVER, /* the first peer that is up */
};

#define RESPONSES_UNLIMITED UINT32_MAX

/* Without the key source_sessions, one source gets one session of this number. */
#define SOURCE_SESSIONS_SHARE 4

enum log_target { LOG_TARGET_OFF, LOG_TARGET_STDERR, LOG_TARGET_STDOUT, LOG_TARGET_FILE };

/* A key that the file sets, and its line. */
struct key_line {
	const char *key; /* static, from the table in keys.c */
	unsigned line;
};

/* The line of a section's header, and the keys that the section sets. */
struct section_lines {
	unsigned line;
	struct key_line *keys;
	size_t count;
};

struct payload {
	uint8_t *bytes; /* NULL: no payload is configured */
	size_t size;
};

struct peer_config {
	char *name; /* NAME in [peer:NAME]; for a listed peer, its address */
	bool listed; /* an address in the key `peers` of a listener, not a section */
	struct section_lines lines;
	size_t index; /* in config.peers */
	unsigned line; /* line of the key `address` */
	char *address_text; /* as written in the file */
	char *host; /* the name to resolve; NULL: the file has a literal address */
	struct address address; /* the destination; if host is set, only its port is valid */
	char *encoding; /* charset of the payload that the peer receives; NULL: bytes are not converted */
	uint64_t resolve_interval_ms;

	/* For relays only. */
	uint32_t weight; /* relative share of the sessions, at least 1 */
	bool backup; /* gets sessions only while no other peer is up */
	uint32_t max_fails; /* consecutive ICMP errors that eject an endpoint of the peer; 0: ICMP errors are ignored */
	uint64_t fail_timeout_ms; /* how long an endpoint stays ejected, at least */
	struct {
		bool on;
		struct payload send, expect; /* without an expected payload, no reply also counts as success */
		uint64_t interval_ms, timeout_ms;
		uint32_t rise, fall; /* consecutive successes until up, consecutive failures until down */
	} check;
};

struct bind_config {
	char *text; /* as written in the file */
	unsigned line; /* 0: from a command line, not from a file */
	bool any; /* '*:PORT': one socket per address family; only the port of address is valid */
	char *fd_name; /* 'fd:NAME': the name under which systemd passes sockets, and address is unset; or NULL */
	struct address address;
};

struct multicast_config {
	struct address group; /* its port is 0 */
	char interface[IF_NAMESIZE]; /* "": the kernel chooses the interface */
	unsigned line;
};

/* Most addresses of one bind_config: the wildcard addresses of both families. */
#define BIND_ADDRESSES_MAX 2

struct listener_config {
	char *name;
	struct section_lines lines;
	size_t index; /* in config.listeners */
	struct bind_config *binds;
	size_t bind_count;
	enum action_kind action;
	struct peer_config **peers; /* pointers into config.peers */
	size_t peer_count;
	char **encodings; /* charsets, or "hex", for decoding the payload, in the order in which they are tried */
	size_t encoding_count; /* at least 1 */
	enum codec_errors errors;
	uint32_t log_every; /* every Nth datagram gets a record; 0: none does */
	char interface[IF_NAMESIZE]; /* device to bind to; "": any */
	unsigned interface_line;
	struct multicast_config *groups;
	size_t group_count;
	bool freebind;
	int receive_buffer, send_buffer; /* bytes */
	uint32_t max_datagram; /* bytes of payload */
	bool loop_guard;
	struct port_set *refuse_source_ports; /* NULL: no port is refused */
	bool has_default_source_ports; /* the set is the default one; actual ports of echo listeners are added later */
	bool ring_guard; /* for echo and forward */
	uint32_t source_limit; /* datagrams per second from one source; 0: no limit */
	uint32_t source_burst; /* datagrams at once; 0: as many as in one second */
	struct prefix_set *allow, *deny; /* source prefixes; NULL: the file has no such list */

	/* For relays only. */
	enum balance balance;
	uint64_t idle_timeout_ms;
	uint32_t max_sessions; /* total of all workers */
	uint32_t source_sessions; /* limit for one source; 0: max_sessions */
	uint32_t responses; /* replies per datagram of a client; 0: none are expected; or RESPONSES_UNLIMITED */
};

struct config {
	char *path;
	char *warnings; /* warnings, one per line, formatted like errors; may be empty */
	unsigned workers; /* 0: one per CPU */
	struct {
		char *name; /* as written in the file; NULL: keep the current user */
		unsigned line;
		bool has_group; /* gid is valid: from the key `group`, or the primary group of the user */
		uid_t uid;
		gid_t gid;
	} user; /* user and group to switch to after the start, if started as root */
	enum log_level log_level;
	enum log_format log_format;
	struct {
		enum log_target target;
		char *path; /* for LOG_TARGET_FILE, otherwise NULL */
		unsigned line; /* line of the key `target` if it names a file, otherwise 0 */
		enum log_format format;
		uint32_t payload; /* largest number of payload bytes in a record */
		uint32_t queue; /* records per worker that can wait for the writer */
		bool exit_on_broken_pipe; /* the log is the only purpose of the program: terminate when the reader
					     closes the pipe */
	} datagram_log;
	struct {
		char *text; /* the address as written in the file; NULL: off */
		unsigned line;
		struct address address; /* never a wildcard address */
		char **hosts; /* names and IP addresses that a Host header may have, besides loopback and address */
		size_t host_count;
	} http;
	struct listener_config *listeners; /* in the order of the file */
	size_t listener_count;
	struct peer_config *peers; /* first the sections, then the listed addresses, each in the order of the file */
	size_t peer_count;
};

/* Reads and validates the file, which must be a regular file or a symbolic link to one. Writes errors to `errors`, one
 * per line, sorted by line, as "PATH:LINE: [SECTION] KEY: PROBLEM: FIX". If there are too many, writes the first ones
 * and the number of the others. Returns the configuration, which the caller frees with config_destroy(), or NULL after
 * at least one error. */
struct config *config_load(const char *path, FILE *errors);

/* As config_load(), for an open stream. path is used only in messages and in config.path. Does not close the stream. */
struct config *config_load_stream(const char *path, FILE *in, FILE *errors);

/* Writes the addresses to bind for one bind_config: one; or two for '*:PORT', first IPv4, then IPv6; or none for
 * 'fd:NAME', where systemd has bound the sockets. Returns the number of addresses. */
size_t config_bind_addresses(const struct bind_config *bind, struct address addresses[BIND_ADDRESSES_MAX]);

/* Returns the line of the key in its section, or 0 if the file does not set it. */
unsigned config_line(const struct section_lines *lines, const char *key);

/* Returns the index of the listener or peer with this name, or listener_count or peer_count if there is none. */
size_t config_find_listener(const struct config *config, const char *name);
size_t config_find_peer(const struct config *config, const char *name);

/* Returns whether both peers have the same host name and port. Names differ neither by case nor by a final dot. */
bool peer_config_same_name(const struct peer_config *a, const struct peer_config *b);

/* Returns the sum of max_sessions of all relays. */
uint64_t config_max_sessions(const struct config *config);

/* Frees the configuration. Accepts NULL. */
void config_destroy(struct config *config);

#endif
