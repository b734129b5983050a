#include "config/values.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/xalloc.h"

struct unit {
	const char *name;
	uint64_t factor;
};

bool value_boolean(const char *text, bool *result)
{
	static const char *const words[] = {"off", "no", "false", "on", "yes", "true", NULL};
	unsigned word;

	if (!value_choice(text, words, &word))
		return false;
	*result = word >= 3;
	return true;
}

/* Reads up to 18 digits, which always fit into 64 bits. *end points behind them. */
static bool read_digits(const char *text, const char **end, uint64_t *number)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 18)
		return false;
	*number = strtoull(text, NULL, 10);
	*end = text + digits;
	return true;
}

static bool value_with_unit(const char *text, const struct unit *units, uint64_t min, uint64_t max, uint64_t *result)
{
	const char *end;
	uint64_t number;

	if (!read_digits(text, &end, &number))
		return false;
	for (; units->name; units++) {
		if (strcasecmp(end, units->name))
			continue;
		if (number > UINT64_MAX / units->factor)
			return false;
		number *= units->factor;
		if (number < min || number > max)
			return false;
		*result = number;
		return true;
	}
	return false;
}

bool value_number(const char *text, uint64_t min, uint64_t max, uint64_t *result)
{
	static const struct unit units[] = {{"", 1}, {0}};

	return value_with_unit(text, units, min, max, result);
}

bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *result)
{
	static const struct unit units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {0}};

	return value_with_unit(text, units, min, max, result);
}

bool value_duration(const char *text, uint64_t min, uint64_t max, uint64_t *result)
{
	static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {0}};

	return value_with_unit(text, units, min, max, result);
}

bool value_choice(const char *text, const char *const words[], unsigned *result)
{
	for (unsigned i = 0; words[i]; i++) {
		if (!strcasecmp(text, words[i])) {
			*result = i;
			return true;
		}
	}
	return false;
}

/* As value_ports(). Modifies the text. */
static bool add_ports(char *item, struct port_set *set)
{
	char *dash = strchr(item, '-');
	uint64_t first, last;

	if (dash)
		*dash = '\0';
	if (!value_number(item, 0, UINT16_MAX, &first))
		return false;
	last = first;
	if (dash && !value_number(dash + 1, first, UINT16_MAX, &last))
		return false;
	for (uint64_t port = first; port <= last; port++)
		port_set_add(set, (uint16_t)port);
	return true;
}

bool value_ports(const char *text, struct port_set *set)
{
	char *copy = xcheck(strdup(text));
	bool valid = add_ports(copy, set);

	free(copy);
	return valid;
}

bool value_interface(const char *text, char result[IF_NAMESIZE])
{
	size_t length = strlen(text);

	if (!length || length >= IF_NAMESIZE || !strcmp(text, ".") || !strcmp(text, ".."))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isgraph((unsigned char)text[i]) || strchr("/:%,", text[i]))
			return false;
	}
	memcpy(result, text, length + 1);
	return true;
}

const char *value_hex(const char *text, uint8_t *out)
{
	size_t count = strspn(text, "0123456789abcdefABCDEF");

	if (text[count])
		return "is not a hex number: write two digits for each byte, such as `00 ff`";
	if (count % 2)
		return "has an odd number of hex digits: write two for each byte";
	for (; *text; text += 2)
		sscanf(text, "%2hhx", out++);
	return NULL;
}

const char *value_hex_words(char *text, uint8_t *out, size_t *size, const char **word)
{
	const char *fault = NULL;

	*size = 0;
	while (!fault && (*word = strsep(&text, " \t\n,"))) {
		fault = value_hex(*word, out + *size);
		*size += strlen(*word) / 2;
	}
	return fault;
}

bool value_is_address(const char *text)
{
	struct address address;
	char *ip = xcheck(strndup(text, strcspn(text, "/# \t")));
	bool found = strchr(text, ':') || !address_from_ip(&address, ip, 0);

	free(ip);
	return found;
}

/* The last label of a host name is never a number, and the resolver would convert such a host to an IPv4 address
 * (inet_aton(3)). A final dot is allowed. */
bool value_host_name(const char *host)
{
	size_t length = strlen(host), digits;
	const char *label = host;

	for (size_t i = 0; i + 1 < length; i++) {
		if (host[i] == '.')
			label = host + i + 1;
	}
	digits = strncasecmp(label, "0x", 2) ? strspn(label, "0123456789")
					     : 2 + strspn(label + 2, "0123456789abcdefABCDEF");
	return isalnum((unsigned char)*host) && label[digits] && strcmp(label + digits, ".");
}

char *value_next_item(char **cursor)
{
	char *item = *cursor, *comma, *end;

	if (!item)
		return NULL;
	comma = strchr(item, ',');
	*cursor = comma ? comma + 1 : NULL;
	if (comma)
		*comma = '\0';
	item += strspn(item, " \t");
	for (end = item + strlen(item); end > item && strchr(" \t", end[-1]); end--)
		end[-1] = '\0';
	return item;
}

size_t value_distance(const char *a, const char *b)
{
	enum { MAX = 48 };
	size_t row[MAX + 1], length = strlen(b);

	if (length > MAX || strlen(a) > MAX)
		return MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t change = diagonal + (tolower((unsigned char)a[i]) != tolower((unsigned char)b[j]));
			size_t other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

			diagonal = row[j + 1];
			row[j + 1] = change < other ? change : other;
		}
	}
	return row[length];
}
