#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ifaddrs.h>

#include "build_config.h"
#include "tests/unit/support/config_text.h"

static void assert_accepted(const char *text)
{
	config_destroy(good(text));
}

/* Two listeners with these lines, or a listener with a peer at the address `to`. */
#define TWO(a, b) "[listener:a]\naction = sink\n" a "\n[listener:b]\naction = sink\n" b "\n"
#define RELAY_OF_ONE                                                                                                   \
	"[listener:a]\naddress = *:1\naction = relay\npeers = p\n[peer:p]\naddress = 192.0.2.1:9\n"                    \
	"[peer:q]\naddress = 192.0.2.1:9\n"
#define AND_PEER(bind, to) "[listener:a]\naction = echo\n" bind "\n[peer:p]\naddress = " to "\n"

static void duplicate_addresses_are_rejected(void **state)
{
	(void)state;
	refused(TWO("address = *:1", "address = *:1"),
		"6: [listener:b] address: `*:1` is already used by listener `a` (`*:1`): choose another address");
	refused(TWO("address = *:1", "address = 0.0.0.0:1"), "6: [listener:b] address: `0.0.0.0:1` is already used");
	refused(TWO("address = [::]:1", "address = *:1"),
		"6: [listener:b] address: `*:1` is already used by listener `a`");
	refused(TWO("address = [::1]:1", "address = [0:0::1]:1"), "6: [listener:b] address: ");
	refused(TWO("address = unix:/x", "address = unix:/x"), "6: [listener:b] address: `unix:/x` is already used");
}

/* The kernel can bind each of the two addresses, but not both. */
static void wildcard_conflicts_with_single_addresses(void **state)
{
	(void)state;
	refused(TWO("address = *:1", "address = 127.0.0.1:1"), "6: [listener:b] address: `127.0.0.1:1` is already used "
							       "by listener `a` (`*:1`): choose another address");
	refused(TWO("address = [::1]:1", "address = *:1"), "6: [listener:b] address: `*:1` is already used");
	refused(TWO("address = 127.0.0.1:1", "address = 0.0.0.0:1"),
		"6: [listener:b] address: `0.0.0.0:1` is already used");
	refused(TWO("address = 0.0.0.0:1, 127.0.0.1:1", "address = *:3"),
		"3: [listener:a] address: `127.0.0.1:1` covers the same address as `0.0.0.0:1`: remove one");
	refused(TWO("address = *:1\ninterface = eth0", "address = 127.0.0.1:1"), "7: [listener:b] address: ");
	assert_accepted(TWO("address = 0.0.0.0:1", "address = [::1]:1"));
	assert_accepted(TWO("address = *:1\ninterface = eth0", "address = 127.0.0.1:1\ninterface = eth1"));
}

static void repeated_addresses_of_a_listener_are_rejected(void **state)
{
	(void)state;
	refused(TWO("address = *:1, *:1, *:1", "address = *:3"),
		"3: [listener:a] address: `*:1` is listed twice: remove one");
	refused(TWO("address = *:1, *:2, 0.0.0.0:2", "address = *:3"),
		"3: [listener:a] address: `0.0.0.0:2` covers the same address as `*:2`: remove one");
	refused(TWO("address = 0.0.0.0:2, *:2", "address = *:3"),
		"3: [listener:a] address: `*:2` covers the same address as `0.0.0.0:2`: remove one");
}

static void different_addresses_are_accepted(void **state)
{
	(void)state;
	assert_accepted(TWO("address = *:1", "address = *:2"));
	assert_accepted(TWO("address = *:0", "address = *:0, *:0"));
	assert_accepted(TWO("address = 0.0.0.0:1", "address = [::]:1"));
	assert_accepted(TWO("address = 192.0.2.1:1", "address = 192.0.2.2:1"));
	assert_accepted(TWO("address = unix:/x", "address = unix:/y"));
	assert_accepted(TWO("address = *:1\ninterface = eth0", "address = *:1\ninterface = eth1"));
	refused(TWO("address = *:1\ninterface = eth0", "address = *:1\ninterface = eth0"), "7: [listener:b] address: ");
}

static void peer_must_not_be_own_listener(void **state)
{
	(void)state;
	refused(AND_PEER("address = 192.0.2.1:7788", "192.0.2.1:7788"),
		"5: [peer:p] address: `192.0.2.1:7788` is our own listener `a`, so datagrams would loop");
	refused(AND_PEER("address = *:7788", "127.0.0.1:7788"), "5: [peer:p] address: `127.0.0.1:7788` is our own");
	refused(AND_PEER("address = *:7788", "127.5.6.7:7788"), "5: [peer:p] address: ");
	refused(AND_PEER("address = *:7788", "[::1]:7788"), "5: [peer:p] address: ");
	refused(AND_PEER("address = [::]:7788", "[::1]:7788"), "5: [peer:p] address: ");
	refused(AND_PEER("address = *:7788", "localhost:7788"), "5: [peer:p] address: `localhost:7788` is our own");
	refused(AND_PEER("address = 127.0.0.1:7788", "LocalHost.:7788"),
		"5: [peer:p] address: `LocalHost.:7788` is our");
	refused(AND_PEER("address = unix:/x", "unix:/x"), "5: [peer:p] address: ");
	refused(AND_PEER("address = *:7788\nmulticast = 239.1.1.1", "239.1.1.1:7788"), "6: [peer:p] address: ");
	assert_accepted(AND_PEER("address = *:7788", "127.0.0.1:7789"));
	assert_accepted(AND_PEER("address = *:7788", "localhost:7789"));
	assert_accepted(AND_PEER("address = *:7788", "localhost.test:7788"));
	assert_accepted(AND_PEER("address = 192.0.2.1:7788", "localhost:7788"));
	assert_accepted(AND_PEER("address = *:7788", "198.51.100.99:7788"));
	assert_accepted(AND_PEER("address = *:7788\nmulticast = 239.1.1.1", "239.1.1.2:7788"));
	assert_accepted(AND_PEER("address = 192.0.2.1:7788", "127.0.0.1:7788"));
	assert_accepted(AND_PEER("address = 0.0.0.0:7788", "[::1]:7788"));
	assert_accepted(AND_PEER("address = unix:/x", "unix:/y"));
}

/* A listener on a wildcard address receives datagrams to every address of the host. */
static void peer_must_not_be_own_interface(void **state)
{
	char text[256], ip[INET_ADDRSTRLEN];
	struct ifaddrs *first;

	(void)state;
	assert_int_equal(getifaddrs(&first), 0);
	for (const struct ifaddrs *i = first; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
			continue;
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), AND_PEER("address = *:7788", "%s:7788"), ip);
		refused(text, "5: [peer:p] address: ");
	}
	freeifaddrs(first);
}

static void peer_must_not_be_a_broadcast_of_an_interface(void **state)
{
	char text[256], ip[INET_ADDRSTRLEN];
	struct ifaddrs *first;

	(void)state;
	assert_int_equal(getifaddrs(&first), 0);
	for (const struct ifaddrs *i = first; i; i = i->ifa_next) {
		struct in_addr broadcast;

		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !i->ifa_netmask)
			continue;
		broadcast = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
		broadcast.s_addr |= ~((struct sockaddr_in *)(void *)i->ifa_netmask)->sin_addr.s_addr;
		if (broadcast.s_addr == ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr)
			continue;
		inet_ntop(AF_INET, &broadcast, ip, sizeof(ip));
		snprintf(text, sizeof(text), AND_PEER("address = 192.0.2.1:1", "%s:7788"), ip);
		refused(text, "5: [peer:p] address: `");
	}
	freeifaddrs(first);
}

static void assert_warnings(const char *text, const char *warnings)
{
	struct config *config = good(text);

	assert_string_equal(config->warnings, warnings);
	config_destroy(config);
}

/* Two peers of a listener with this action. */
#define PEERS_OF(action, a, b)                                                                                         \
	"[listener:a]\naddress = *:1\naction = " action "\npeers = p, q\n[peer:p]\naddress = " a                       \
	"\n[peer:q]\naddress = " b "\n"

static void peers_with_one_address_are_warned_of(void **state)
{
	(void)state;
	assert_warnings(
		PEERS_OF("forward", "192.0.2.1:9", "192.0.2.1:9"),
		"t.ini:4: [listener:a] peers: `p` and `q` have the same address, `192.0.2.1:9`, which gets every "
		"datagram twice: remove one of them\n");
	assert_warnings(
		PEERS_OF("forward", "[2001:db8::1]:9", "[2001:db8:0::1]:9"),
		"t.ini:4: [listener:a] peers: `p` and `q` have the same address, `[2001:db8:0::1]:9`, which gets "
		"every datagram twice: remove one of them\n");
	assert_warnings(
		PEERS_OF("forward", "host.test:9", "HOST.test:9"),
		"t.ini:4: [listener:a] peers: `p` and `q` have the same address, `HOST.test:9`, which gets every "
		"datagram twice: remove one of them\n");
	assert_warnings(
		PEERS_OF("forward", "localhost:9", "127.0.0.1:9"),
		"t.ini:4: [listener:a] peers: `p` and `q` have the same address, `127.0.0.1:9`, which gets every "
		"datagram twice: remove one of them\n");
	assert_warnings(PEERS_OF("forward", "unix:/x", "unix:/x"),
			"t.ini:4: [listener:a] peers: `p` and `q` have the same address, `unix:/x`, which gets every "
			"datagram twice: remove one of them\n");
	assert_warnings(PEERS_OF("forward", "192.0.2.1:9", "192.0.2.1:10"), "");
	assert_warnings(PEERS_OF("forward", "192.0.2.1:9", "host.test:9"), "");
	assert_warnings(PEERS_OF("forward", "host.test:9", "host.test:10"), "");
	assert_warnings(PEERS_OF("relay", "192.0.2.1:9", "192.0.2.1:9"), "");
}

static void peers_without_a_listener_are_warned_of(void **state)
{
	(void)state;
	assert_warnings(AND_PEER("address = *:1", "192.0.2.1:9"),
			"t.ini:4: [peer:p]: no listener uses this peer: add `p` to the peers of one, or remove the "
			"section\n");
	assert_warnings(RELAY_OF_ONE, "t.ini:7: [peer:q]: no listener uses this peer: add `q` to the peers of one, or "
				      "remove the section\n");
}

static void keys_without_effect_are_warned_of(void **state)
{
	(void)state;
	assert_warnings(
		PEERS_OF("forward", "192.0.2.1:9\nweight = 2", "192.0.2.2:9\nbackup = on\nfail_timeout = 1s"),
		"t.ini:7: [peer:p] weight: has no effect, because a forward sends to all its peers: remove this "
		"line\n"
		"t.ini:10: [peer:q] backup: has no effect, because a forward sends to all its peers: remove "
		"this line\n"
		"t.ini:11: [peer:q] fail_timeout: has no effect, because a forward sends to all its peers: "
		"remove this line\n");
	assert_warnings(PEERS_OF("relay", "192.0.2.1:9\nweight = 2", "192.0.2.2:9\nbackup = on"), "");
	assert_warnings(PEERS_OF("forward", "192.0.2.1:9\ncheck = on", "192.0.2.2:9"), "");
	assert_warnings(
		PEERS_OF("relay", "192.0.2.1:9\ncheck = on", "192.0.2.2:9"),
		"t.ini:7: [peer:p] check: a silent server counts as up: add `check_expect = TEXT`, which a reply "
		"contains\n");
	assert_warnings(
		PEERS_OF("relay", "192.0.2.1:9\ncheck = on\ncheck_send = 01 02 ff\ncheck_expect = ok", "192.0.2.2:9"),
		"t.ini:8: [peer:p] check_send: `01 02 ff` is taken as text: write `check_send = hex: 01 02 ff`\n");
	assert_warnings(PEERS_OF("relay", "192.0.2.1:9\nresolve_interval = 9s", "a.test:9\nresolve_interval = 9s"),
			"t.ini:7: [peer:p] resolve_interval: has no effect, because the address is not a host name: "
			"remove this line\n");
}

/* Warnings do not hide errors. */
static void warnings_are_no_errors(void **state)
{
	(void)state;
	refused(AND_PEER("address = *:1\nnonsense = 1", "192.0.2.1:9"), "4: [listener:a] nonsense: ");
}

static void peers_need_forward_or_relay(void **state)
{
	(void)state;
	refused("[listener:a]\naddress = *:1\naction = echo\npeers = p\n[peer:p]\naddress = 192.0.2.1:9\n",
		"4: [listener:a] peers: only forward and relay send to peers: remove this line, or write `action = "
		"forward` "
		"or "
		"`action = relay`");
	refused("[listener:a]\naddress = *:1\npeers = q\naction = sink\n",
		"3: [listener:a] peers: there is no peer `q`: add a section [peer:q]",
		"3: [listener:a] peers: only forward and relay send to peers: remove this line, or write `action = "
		"forward` "
		"or "
		"`action = relay`");
	refused("[listener:a]\naddress = *:1\npeers = q, p, r\naction = forward\n[peer:p]\naddress = 192.0.2.1:9\n",
		"3: [listener:a] peers: there is no peer `q`: add a section [peer:q]",
		"3: [listener:a] peers: there is no peer `r`: add a section [peer:r]");
	refused("[listener:a]\naddress = *:1\naction = relay\npeers =\n",
		"4: [listener:a] peers: the value is missing: ");
	refused("[listener:a]\naddress = *:1\npeers = q\naction = ech\n", "3: [listener:a] peers: there is no peer `q`",
		"4: [listener:a] action: ");
	refused("[listener:a]\naddress = *:1\naction = forward\n[peer:p]\naddress = 192.0.2.1:9\n",
		"1: [listener:a] peers: missing: forward needs at least one peer: write addresses, such as `peers = "
		"192.0.2.1:514`");
	refused("[listener:a]\naddress = *:1\naction = relay\n[peer:p]\naddress = 192.0.2.1:9\n",
		"1: [listener:a] peers: missing: relay needs at least one peer: write addresses, such as `peers = "
		"192.0.2.1:514`");
	refused("[listener:a]\naddress = *:1\naction = relay\npeers = q\n",
		"4: [listener:a] peers: there is no peer `q`: add a section [peer:q]");
}

#define RELAY(peers, p, q)                                                                                             \
	"[listener:a]\naddress = *:1\naction = relay\npeers = " peers "\n[peer:p]\naddress = 192.0.2.1:9\n" p          \
	"\n[peer:q]\naddress = 192.0.2.2:9\n" q "\n"

static void relay_needs_a_peer_that_is_no_backup(void **state)
{
	(void)state;
	assert_accepted(RELAY("p, q", "", "backup = on"));
	assert_accepted(RELAY("p, q", "backup = on", "backup = off"));
	refused(RELAY("p, q", "backup = on", "backup = yes"), "7: [peer:p] backup: every peer of listener `a` is a "
							      "backup: remove this line, or that of another peer");
	refused(RELAY("q", "", "backup = on"), "10: [peer:q] backup: every peer of listener `a` is a backup: ");
	refused(RELAY("p, r", "backup = on", ""), "4: [listener:a] peers: there is no peer `r`: ");
	refused(RELAY("p, p", "backup = on", ""), "4: [listener:a] peers: `p` is listed twice: ");
	assert_accepted("[listener:a]\naddress = *:1\naction = forward\npeers = p\n"
			"[peer:p]\naddress = 192.0.2.1:9\nbackup = on\n");
	assert_accepted(AND_PEER("address = *:1",
				 "192.0.2.1:9\nbackup = on\nweight = 7\nmax_fails = 0\nfail_timeout = 1s\n"
				 "check = on"));
}

static void session_keys_need_relay(void **state)
{
	(void)state;
	refused("[listener:a]\naddress = *:1\naction = echo\nbalance = random\nidle_timeout = 1s\n"
		"max_sessions = 9\nresponses = 0\n",
		"4: [listener:a] balance: only a relay has sessions: remove this line",
		"5: [listener:a] idle_timeout: only a relay has sessions: remove this line",
		"6: [listener:a] max_sessions: only a relay has sessions: remove this line",
		"7: [listener:a] responses: only a relay has sessions: remove this line");
	refused("[listener:a]\naddress = *:1\nresponses = unlimited\naction = sink\n",
		"3: [listener:a] responses: only a relay has sessions: ");
	refused("[listener:a]\naddress = *:1\nbalance = hash\naction = forward\npeers = p\n"
		"[peer:p]\naddress = 192.0.2.1:9\n",
		"3: [listener:a] balance: only a relay has sessions: remove this line, or write `action = relay`");
	refused("[listener:a]\naddress = *:1\nbalance = hash\naction = rely\n", "4: [listener:a] action: `rely` is");
	refused("[listener:a]\naddress = *:1\nbalance = hash\n", "1: [listener:a] action: missing: ");
	refused("[listener:a]\naddress = *:1\naction = echo\nbalance = hush\n", "4: [listener:a] balance: `hush` is");
	assert_accepted(RELAY("p", "", "") "[listener:b]\naddress = *:2\naction = relay\npeers = p\nbalance = random\n"
					   "idle_timeout = 1s\nmax_sessions = 9\nresponses = 0\n");
}

/* Keys of the peer, after its address in line 5. */
#define PEER(keys) AND_PEER("address = *:1", "192.0.2.1:9\n" keys)

static void check_keys_need_check(void **state)
{
	(void)state;
	refused(PEER("check_send = a\ncheck_expect = b\ncheck_interval = 9s\ncheck_timeout = 1s\ncheck_rise = 1\n"
		     "check_fall = 1"),
		"6: [peer:p] check_send: has no effect without `check = on`: write it, or remove this line",
		"7: [peer:p] check_expect: has no effect without `check = on`: write it, or remove this line",
		"8: [peer:p] check_interval: has no effect without `check = on`: write it, or remove this line",
		"9: [peer:p] check_timeout: has no effect without `check = on`: write it, or remove this line",
		"10: [peer:p] check_rise: has no effect without `check = on`: write it, or remove this line",
		"11: [peer:p] check_fall: has no effect without `check = on`: write it, or remove this line");
	refused(PEER("check = off\ncheck_rise = 1"), "7: [peer:p] check_rise: has no effect without `check = on`: ");
	refused(PEER("check = of\ncheck_rise = 1"), "6: [peer:p] check: `of` is not valid");
	refused(PEER("check_rise = 0"), "6: [peer:p] check_rise: `0` is not valid");
	refused(PEER("check_interval = 1s\ncheck_timeout = 2s"), "6: [peer:p] check_interval: has no effect ",
		"7: [peer:p] check_timeout: has no effect ");
	assert_accepted(
		PEER("check_send = a\ncheck_expect = b\ncheck_interval = 9s\ncheck_timeout = 1s\ncheck_rise = 1\n"
		     "check_fall = 1\ncheck = on"));
	refused("[listener:a]\naddress = *:1\naction = sink\n[peer:p]\naddress = host.example:9\ncheck_fall = 1\n",
		"6: [peer:p] check_fall: has no effect without `check = on`: ");
}

static void check_timeout_fits_into_interval(void **state)
{
	(void)state;
	refused(PEER("check = on\ncheck_interval = 1s\ncheck_timeout = 1001ms"),
		"8: [peer:p] check_timeout: check_timeout (1001ms) is longer than check_interval (1000ms): write "
		"`check_timeout = 1000ms`, or write `check_interval = 1001ms`");
	refused(PEER("check = on\ncheck_interval = 1s"),
		"7: [peer:p] check_interval: check_timeout (2000ms) is longer than check_interval (1000ms): ");
	refused(PEER("check = on\ncheck_timeout = 6s"),
		"7: [peer:p] check_timeout: check_timeout (6000ms) is longer than check_interval (5000ms): ");
	refused(PEER("check = on\ncheck_interval = 1\ncheck_timeout = 6s"),
		"7: [peer:p] check_interval: `1` is not valid");
	refused(PEER("check = on\ncheck_interval = 1s\ncheck_timeout = 0s"),
		"8: [peer:p] check_timeout: `0s` is not valid");
	assert_accepted(PEER("check = on\ncheck_interval = 1s\ncheck_timeout = 1000ms"));
	assert_accepted(PEER("check = on\ncheck_interval = 2s"));
}

static void hex_cannot_be_converted(void **state)
{
	(void)state;
	refused("[listener:a]\naddress = *:1\naction = forward\npeers = p, q\nencoding = utf-8, HEX\n"
		"[peer:p]\naddress = 192.0.2.1:9\nencoding = gbk\n[peer:q]\naddress = 192.0.2.2:9\n",
		"5: [listener:a] encoding: `hex` is not a charset, but peer `p` needs conversion to gbk: remove `hex` "
		"from the list");
	refused("[listener:a]\naddress = *:1\naction = relay\npeers = p\nencoding = hex\n"
		"[peer:p]\naddress = 192.0.2.1:9\nencoding = gbk\n",
		"5: [listener:a] encoding: `hex` is not a charset, but peer `p` needs conversion to gbk: remove this "
		"line");
	assert_accepted("[listener:a]\naddress = *:1\naction = forward\npeers = p\nencoding = utf-8, hex\n"
			"[peer:p]\naddress = 192.0.2.1:9\n");
}

static void network_keys_need_ip_addresses(void **state)
{
	(void)state;
	refused("[listener:a]\naddress = unix:/x\naction = sink\ninterface = eth0\n",
		"4: [listener:a] interface: unix: addresses have no interface: remove this line");
	refused("[listener:a]\naddress = 0.0.0.0:1\naction = sink\nmulticast = ff05::1\n",
		"2: [listener:a] address: no address receives the multicast group `ff05::1`: add `[ff05::1]:1` to the "
		"list");
	refused("[listener:a]\naddress = 0.0.0.0:1\naction = sink\nmulticast = ff02::1\n",
		"2: [listener:a] address: no address receives the multicast group `ff02::1`: add `[::]:1` to the list");
	refused("[listener:a]\naddress = 0.0.0.0:1\naction = sink\nmulticast = ff02::1%eth0\n",
		"2: [listener:a] address: no address receives the multicast group `ff02::1`: add `[ff02::1%eth0]:1` "
		"to");
	refused("[listener:a]\naddress = [::]:1\naction = sink\nmulticast = 239.1.1.1\n",
		"2: [listener:a] address: no address receives the multicast group `239.1.1.1`: add `239.1.1.1:1` to "
		"the list");
	refused("[listener:a]\naddress = 127.0.0.1:1, 239.1.1.2:1\naction = sink\nmulticast = 239.1.1.1%lo\n",
		"2: [listener:a] address: no address receives the multicast group `239.1.1.1`: ");
	assert_accepted("[listener:a]\naddress = *:1\naction = sink\nmulticast = 239.1.1.1, ff05::1\n");
	assert_accepted("[listener:a]\naddress = 127.0.0.1:1, 239.1.1.1:2\naction = sink\nmulticast = 239.1.1.1%lo\n");
	assert_accepted("[listener:a]\naddress = [::]:1\naction = sink\nmulticast = ff05::1\n");
	assert_accepted("[listener:a]\naddress = [ff02::1%lo]:1\naction = sink\nmulticast = ff02::1%lo\n");
}

static void source_burst_needs_source_limit(void **state)
{
	(void)state;
	refused(TWO("address = *:1\nsource_burst = 5", "address = *:2"),
		"4: [listener:a] source_burst: has no effect without a limit: write `source_limit = N` (datagrams per "
		"second), or remove this line");
	refused(TWO("address = *:1\nsource_burst = 0\nsource_limit = 0", "address = *:2"),
		"4: [listener:a] source_burst: has no effect");
	refused(TWO("address = *:1\nsource_burst = 5\nsource_limit = x", "address = *:2"),
		"5: [listener:a] source_limit: `x` is not valid");
	refused(TWO("address = unix:/x\nsource_limit = 5", "address = *:2"),
		"4: [listener:a] source_limit: has no effect on unix: addresses: remove this line");
	assert_accepted(TWO("address = *:1\nsource_burst = 5\nsource_limit = 1", "address = *:2\nsource_limit = 1"));
	assert_accepted(TWO("address = unix:/x, *:1\nsource_limit = 5", "address = unix:/y\nsource_limit = 0"));
}

static void source_lists_need_ip_addresses(void **state)
{
	(void)state;
	refused("[listener:a]\naddress = unix:/x, unix:/y\naction = sink\nallow = 192.0.2.1,\n 192.0.2.2\n"
		"deny = ::/0\n",
		"4: [listener:a] allow: unix: addresses have no prefixes: remove this line",
		"6: [listener:a] deny: unix: addresses have no prefixes: remove this line");
	refused("[listener:a]\naddress = unix:/x\naction = sink\nallow = 192.0.2\n",
		"4: [listener:a] allow: `192.0.2`");
	assert_accepted("[listener:a]\naddress = unix:/x, *:1\naction = sink\nallow = 192.0.2.1\ndeny = ::/0\n");
}

static void link_local_addresses_need_an_interface(void **state)
{
	(void)state;
	refused(AND_PEER("address = [fe80::1]:1", "[fe80::2]:1"),
		"3: [listener:a] address: `[fe80::1]:1` is link-local: write its interface, as in [fe80::1%eth0]:1",
		"5: [peer:p] address: `[fe80::2]:1` is link-local: write its interface, as in [fe80::2%eth0]:1");
	assert_accepted(AND_PEER("address = [fe80::1%lo]:1", "[fe80::2%lo]:1"));
	assert_accepted(AND_PEER("address = [fe80::1]:1\ninterface = eth0", "192.0.2.1:1"));
}

#define ECHO "[listener:e]\naddress = 127.0.0.1:0\naction = echo\n"

static void group_needs_user(void **state)
{
	struct config *config = good(ECHO "[udprelayd]\ngroup = 4321\nuser = 123456\n");

	(void)state;
	assert_int_equal(config->user.uid, 123456);
	assert_int_equal(config->user.gid, 4321);
	config_destroy(config);
	refused(ECHO "[udprelayd]\ngroup = 4321\n",
		"5: [udprelayd] group: has no effect without a user: write `user = NAME`, or remove this line");
	refused(ECHO "[udprelayd]\nuser = 123456\n",
		"5: [udprelayd] user: no user has the number 123456, so its group is unknown: add `group = NAME`");
	refused(ECHO "[udprelayd]\nuser = no-such-user\ngroup = no-such-group\n",
		"5: [udprelayd] user: unknown user `no-such-user`: create it",
		"6: [udprelayd] group: unknown group `no-such-group`: create it");
	refused(ECHO "[udprelayd]\nuser = 123456\ngroup = no-such-group\n", "6: [udprelayd] group: unknown group");
}

static void http_path_must_not_be_a_listener(void **state)
{
	(void)state;
	if (!HAVE_LIBMICROHTTPD)
		return; /* the key is refused */
	assert_accepted("[listener:a]\naddress = unix:/x\naction = sink\n[http]\nlisten = unix:/y\n");
	assert_accepted("[listener:a]\naddress = 127.0.0.1:9100\naction = sink\n[http]\nlisten = 127.0.0.1:9100\n");
	refused("[listener:a]\naddress = unix:/x\naction = sink\n[http]\nlisten = unix:/x\n",
		"5: [http] listen: `unix:/x` is already used by listener `a`: choose another path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(group_needs_user),
		cmocka_unit_test(duplicate_addresses_are_rejected),
		cmocka_unit_test(wildcard_conflicts_with_single_addresses),
		cmocka_unit_test(repeated_addresses_of_a_listener_are_rejected),
		cmocka_unit_test(different_addresses_are_accepted),
		cmocka_unit_test(peer_must_not_be_own_listener),
		cmocka_unit_test(peer_must_not_be_own_interface),
		cmocka_unit_test(peer_must_not_be_a_broadcast_of_an_interface),
		cmocka_unit_test(peers_with_one_address_are_warned_of),
		cmocka_unit_test(peers_without_a_listener_are_warned_of),
		cmocka_unit_test(keys_without_effect_are_warned_of),
		cmocka_unit_test(warnings_are_no_errors),
		cmocka_unit_test(peers_need_forward_or_relay),
		cmocka_unit_test(relay_needs_a_peer_that_is_no_backup),
		cmocka_unit_test(session_keys_need_relay),
		cmocka_unit_test(check_keys_need_check),
		cmocka_unit_test(check_timeout_fits_into_interval),
		cmocka_unit_test(hex_cannot_be_converted),
		cmocka_unit_test(network_keys_need_ip_addresses),
		cmocka_unit_test(source_burst_needs_source_limit),
		cmocka_unit_test(source_lists_need_ip_addresses),
		cmocka_unit_test(link_local_addresses_need_an_interface),
		cmocka_unit_test(http_path_must_not_be_a_listener),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
