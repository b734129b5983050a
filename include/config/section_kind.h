/* The kinds of sections in the configuration file. */
#ifndef UDPRELAYD_CONFIG_SECTION_KIND_H
#define UDPRELAYD_CONFIG_SECTION_KIND_H

enum section_kind {
	SECTION_DAEMON,
	SECTION_LOG,
	SECTION_DATAGRAM_LOG,
	SECTION_HTTP,
	SECTION_LISTENER,
	SECTION_PEER,
};

#endif
