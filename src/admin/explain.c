#include "admin/explain.h"

#include <stdlib.h>

#include "admin/explain_payload.h"
#include "admin/explain_peers.h"
#include "admin/explain_report.h"
#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "datapath/actions.h"
#include "guard/source_limit.h"
#include "net/train.h"

/* --- Words --- */

static struct config_location place(const struct explain_report *explanation, const char *key)
{
	return config_location_of(&explanation->listener->lines, key);
}

static const char *action(const struct explain_report *explanation)
{
	return explain_choice_name("action", explanation->listener->action);
}

/* --- Our own addresses, as the configuration has them --- */

/* Some are only known once they are bound, or passed. */
static bool is_open(const struct bind_config *bind)
{
	return bind->fd_name || (bind->address.any.sa_family != AF_UNIX && !address_port(&bind->address));
}

static size_t add_bind(struct address *addresses, const struct listener_config *listener,
		       const struct bind_config *bind)
{
	size_t count = config_bind_addresses(bind, addresses);

	for (size_t i = 0; i < listener->group_count; i++) {
		addresses[count] = listener->groups[i].group;
		address_set_port(&addresses[count++], address_port(&bind->address));
	}
	return count;
}

static size_t count_addresses(const struct config *config)
{
	size_t count = 1;

	for (size_t i = 0; i < config->listener_count; i++)
		count += config->listeners[i].bind_count * (BIND_ADDRESSES_MAX + config->listeners[i].group_count);
	return count;
}

static int own_addresses_of(struct own_addresses **own, const struct config *config)
{
	struct address *addresses = xcheck(calloc(count_addresses(config), sizeof(*addresses)));
	size_t count = 0;
	int error;

	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (!is_open(&listener->binds[i]))
				count += add_bind(addresses + count, listener, &listener->binds[i]);
		}
	}
	error = own_addresses_create(own, addresses, count);
	free(addresses);
	return error;
}

static bool has_open_ports(const struct config *config)
{
	for (size_t l = 0; l < config->listener_count; l++) {
		for (size_t i = 0; i < config->listeners[l].bind_count; i++) {
			if (is_open(&config->listeners[l].binds[i]))
				return true;
		}
	}
	return false;
}

/* --- The lists --- */

static void tell_admitted(const struct explain_report *explanation, const struct prefix *prefix)
{
	const struct listener_config *listener = explanation->listener;
	char text[PREFIX_TEXT_MAX];

	if (prefix)
		explain_line(explanation, "source: admitted by allow %s (line %u)", prefix_format(prefix, text),
			     prefix->line);
	else if (explanation->question->source.any.sa_family == AF_UNIX)
		explain_line(explanation, "source: admitted: unix: senders are subject to no list");
	else if (listener->deny)
		explain_line(explanation,
			     "source: admitted: in no prefix of deny (%s), and all others are allowed (%s)",
			     place(explanation, "deny").text, place(explanation, "allow").text);
	else
		explain_line(explanation, "source: admitted: all are allowed (%s; %s)",
			     place(explanation, "allow").text, place(explanation, "deny").text);
}

static void tell_source(const struct explain_report *explanation, const struct access_decision *decision)
{
	char text[PREFIX_TEXT_MAX];

	if (decision->ground == ACCESS_DENIED)
		explain_line(explanation, "source: refused by deny %s (line %u)", prefix_format(decision->prefix, text),
			     decision->prefix->line);
	else if (decision->ground == ACCESS_NOT_ALLOWED)
		explain_line(explanation, "source: refused: in no prefix of allow (%s)",
			     place(explanation, "allow").text);
	else
		tell_admitted(explanation, decision->prefix);
}

/* --- The guard --- */

static void tell_refused_port(const struct explain_report *explanation)
{
	bool written = config_line(&explanation->listener->lines, "refuse_source_ports");

	explain_line(explanation, "guard: refused: port %u gets no answer (%s%s)",
		     address_port(&explanation->question->source), place(explanation, "refuse_source_ports").text,
		     written ? "" : ": ports below 1024 and those of echo listeners");
}

static void tell_good(const struct explain_report *explanation)
{
	if (explanation->question->source.any.sa_family == AF_UNIX)
		explain_line(explanation, "guard: passed: the sender has a name, and is none of ours (%s)",
			     place(explanation, "loop_guard").text);
	else
		explain_line(explanation,
			     "guard: passed: a host's address, none of ours (%s), and no refused port (%s)",
			     place(explanation, "loop_guard").text, place(explanation, "refuse_source_ports").text);
	if (has_open_ports(explanation->config))
		explain_line(
			explanation,
			"guard: ports of addresses with port 0, and addresses of fd:NAME, are known from the start "
			"on: whether the source is one of them is not");
}

static void tell_guard(const struct explain_report *explanation, enum access_rule ground)
{
	const char *source = explanation->source;

	switch (ground) {
	case ACCESS_DENIED:
	case ACCESS_NOT_ALLOWED:
		break;
	case ACCESS_NO_REPLY_ACTION:
		explain_line(explanation, "guard: not asked: %s answers nobody (%s)", action(explanation),
			     place(explanation, "action").text);
		break;
	case ACCESS_UNNAMED:
		explain_line(explanation, "guard: refused: a unix: sender without a name gets no answer of %s (%s)",
			     action(explanation), place(explanation, "action").text);
		break;
	case ACCESS_UNNAMED_ONE_WAY:
		explain_line(explanation, "guard: passed: the sender has no name, but no answer is expected (%s)",
			     place(explanation, "responses").text);
		break;
	case ACCESS_LOOP_GUARD_OFF:
		explain_line(explanation, "guard: off: everybody is answered (%s)",
			     place(explanation, "loop_guard").text);
		break;
	case ACCESS_NO_HOST:
		explain_line(explanation, "guard: refused: %s is no host's address (%s)", source,
			     place(explanation, "loop_guard").text);
		break;
	case ACCESS_OWN_ADDRESS:
		explain_line(explanation, "guard: refused: %s is one of our own addresses (%s)", source,
			     place(explanation, "loop_guard").text);
		break;
	case ACCESS_PORT_ZERO:
		explain_line(explanation, "guard: refused: nobody can be answered at port 0 (%s)",
			     place(explanation, "loop_guard").text);
		break;
	case ACCESS_REFUSED_PORT:
		tell_refused_port(explanation);
		break;
	case ACCESS_ADMITTED:
		tell_good(explanation);
		break;
	}
}

static void ask_guard(struct explain_report *explanation)
{
	struct access_decision decision =
		access_check(explanation->listener, explanation->own, &explanation->question->source);

	tell_source(explanation, &decision);
	tell_guard(explanation, decision.ground);
	explanation->drop = decision.reason;
}

/* --- Limits, of which some depend on the traffic --- */

static void tell_source_limit(const struct explain_report *explanation)
{
	const struct listener_config *listener = explanation->listener;
	uint32_t burst = listener->source_burst ? listener->source_burst : listener->source_limit;

	if (!listener->source_limit)
		explain_line(explanation, "source limit: none (%s)", place(explanation, "source_limit").text);
	else if (explanation->question->source.any.sa_family == AF_UNIX)
		explain_line(explanation, "source limit: not for unix: senders (%s)",
			     place(explanation, "source_limit").text);
	else
		explain_line(explanation,
			     "source limit: %u datagrams a second (%s), %u at once (%s): what is more would be "
			     "dropped:source_limit, but for one in %d",
			     listener->source_limit, place(explanation, "source_limit").text, burst,
			     place(explanation, "source_burst").text, SOURCE_LIMIT_SHARE);
}

static void check_size(struct explain_report *explanation)
{
	uint32_t size = (uint32_t)explanation->question->size, max = explanation->listener->max_datagram;
	struct train train = {.size = size, .segment = size, .count = 1};

	train_limit_size(&train, max);
	explanation->drop = train.drop;
	explain_line(explanation, "size: %u bytes, %s %u (%s)", size, train.drop ? "refused: more than" : "of at most",
		     max, place(explanation, "max_datagram").text);
}

static void tell_ring_guard(const struct explain_report *explanation)
{
	const struct listener_config *listener = explanation->listener;

	if (!action_traits(listener->action)->has_ring_guard)
		return;
	explain_line(explanation, "ring guard: %s (%s)",
		     listener->ring_guard ? "what goes round would be dropped:ring" : "off",
		     place(explanation, "ring_guard").text);
}

static void check_limits(struct explain_report *explanation)
{
	tell_source_limit(explanation);
	if (explanation->question->has_payload)
		check_size(explanation);
	else
		explain_line(explanation, "payload: not told: supposed to be small enough, and to convert");
	if (!explanation->drop)
		tell_ring_guard(explanation);
}

/* --- Answers --- */

/* Where an answer leaves from. Of an address for many, the kernel chooses one of the host's own. */
static const char *answers_from(const struct explain_report *explanation, char text[ADDRESS_TEXT_MAX])
{
	const struct address *destination = &explanation->question->destination;

	if (!destination->length)
		return "the address that the datagram was sent to";
	if (address_is_multicast(destination))
		return "an address that the kernel chooses";
	return address_format(destination, text);
}

static void tell_echo(const struct explain_report *explanation)
{
	const struct explain_query *question = explanation->question;
	char text[ADDRESS_TEXT_MAX];

	if (question->has_payload)
		explain_line(explanation, "answer: the same %zu bytes to %s, from %s", question->size,
			     explanation->source, answers_from(explanation, text));
	else
		explain_line(explanation, "answer: the same bytes to %s, from %s", explanation->source,
			     answers_from(explanation, text));
}

static void tell_answers(const struct explain_report *explanation)
{
	uint32_t responses = explanation->listener->responses;
	char text[ADDRESS_TEXT_MAX];

	if (!responses) {
		explain_line(explanation, "answers: none (%s)", place(explanation, "responses").text);
		return;
	}
	if (responses == RESPONSES_UNLIMITED)
		explain_line(explanation, "answers: unlimited (%s), to %s, from %s",
			     place(explanation, "responses").text, explanation->source,
			     answers_from(explanation, text));
	else
		explain_line(explanation, "answers: at most %u for each datagram (%s), to %s, from %s", responses,
			     place(explanation, "responses").text, explanation->source,
			     answers_from(explanation, text));
}

/* --- The action and the verdict --- */

/* Returns the verdicts that there may be, or NULL where the record has the one. */
static char *act(const struct explain_report *explanation, struct datagram_record *record)
{
	enum action_kind action = explanation->listener->action;
	const struct action_traits *traits = action_traits(action);
	char *open = NULL;

	if (traits->has_sessions) {
		open = explain_relay(explanation, record);
		if (open || record->verdict == VERDICT_RELAYED)
			tell_answers(explanation);
	} else if (traits->has_peers) {
		explain_forward(explanation, record);
	} else {
		record->verdict = action_of(action)->verdict;
		if (traits->reflects)
			tell_echo(explanation);
	}
	return open;
}

static void tell_verdict(const struct explain_report *explanation, const struct datagram_record *record,
			 const char *open)
{
	char word[RECORD_VERDICT_MAX];

	if (open)
		explain_line(explanation, "verdict: %s", open);
	else
		explain_line(explanation, "verdict: %.*s", (int)(record_put_verdict(word, record) - word), word);
}

static void conclude(const struct explain_report *explanation)
{
	struct datagram_record record = {.verdict = VERDICT_DROPPED, .reason = explanation->drop};
	char *open = explanation->drop ? NULL : act(explanation, &record);

	tell_verdict(explanation, &record, open);
	free(open);
}

/* --- All of it --- */

static void tell_question(const struct explain_report *explanation)
{
	const struct listener_config *listener = explanation->listener;
	const struct address *destination = &explanation->question->destination;
	char *path = diagnostics_escape(explanation->config->path), to[ADDRESS_TEXT_MAX];

	fprintf(explanation->out, "%s > ", explanation->source);
	if (destination->length)
		fprintf(explanation->out, "%s, ", address_format(destination, to));
	fprintf(explanation->out, "listener %s (%s), %s:%u\n", listener->name, action(explanation), path,
		listener->lines.line);
	free(path);
}

int explain(const struct config *config, const struct explain_query *question, FILE *out)
{
	struct explain_report explanation = {
		.config = config, .question = question, .listener = question->listener, .out = out};
	int error = own_addresses_of(&explanation.own, config);

	if (error)
		return error;
	address_format(&question->source, explanation.source);
	tell_question(&explanation);
	ask_guard(&explanation);
	if (!explanation.drop)
		check_limits(&explanation);
	if (question->has_payload)
		explain_payload(&explanation);
	conclude(&explanation);
	own_addresses_destroy(explanation.own);
	return 0;
}
