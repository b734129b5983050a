#include "config/setters.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "config/values.h"

bool config_field_error(struct config_field *field, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(field->diagnostics, field->line, field->section, field->name, format, arguments);
	va_end(arguments);
	field->reported = true;
	return false;
}

bool config_field_each_item(struct config_field *field, const char *value,
			    bool (*add_item)(struct config_field *field, char *item))
{
	char *copy = xcheck(strdup(value)), *cursor = copy, *item;
	size_t skipped = field->entry->value ? (size_t)(value - field->entry->value) : 0;
	bool valid = true;

	while ((item = value_next_item(&cursor))) {
		field->line = ini_entry_line(field->entry, skipped + (size_t)(item - copy));
		if (*item)
			valid &= add_item(field, item);
		else
			valid = config_field_error(field, "the list has an empty item: remove a comma");
	}
	field->line = field->entry->line;
	free(copy);
	return valid;
}

bool config_field_word(struct config_field *field, const char *item)
{
	const char *rest = item + strcspn(item, " \t;"), *colon = strchr(item, ':');
	char *fixed, *end;

	rest += strspn(rest, " \t;");
	/* One word, or an address and its port, or one address with another fault. */
	if (!rest[strspn(rest, "0123456789")] || (colon && colon == strrchr(item, ':')))
		return true;
	fixed = end = xcheck(malloc(2 * strlen(item) + 1));
	for (const char *c = item; *c; c++) {
		size_t separators = strspn(c, " \t;");

		if (separators) {
			end = stpcpy(end, ", ");
			c += separators - 1;
		} else {
			*end++ = *c;
		}
	}
	*end = '\0';
	config_field_error(field, "`%s` has no commas: write `%s`", item, fixed);
	free(fixed);
	return false;
}

bool config_field_invalid(struct config_field *field, const char *text)
{
	return config_field_error(field, "`%s` is not valid: write %s", text, field->key->expected);
}

void *config_array_append(void *array, size_t *count, size_t size)
{
	char *grown = xgrow(*(void **)array, *count, size);

	*(void **)array = grown;
	return memset(grown + (*count)++ * size, 0, size);
}

/* --- [udprelayd], [datagram_log] --- */

/* The highest number, (uid_t)-1, means "do not change" to setresuid(2). */
#define ID_MAX (UINT32_MAX - 1)

/* The name of a user or a group, or a number, is one word and not a list. */
static bool is_word(const char *value)
{
	return !strpbrk(value, " \t,:/");
}

/* A numeric user without an entry in the user database has no primary group. */
bool set_user(struct config_field *field, const char *value)
{
	struct config *config = field->config;
	uint64_t number = 0;
	bool numeric = value_number(value, 0, ID_MAX, &number);
	const struct passwd *user;

	if (!is_word(value))
		return false;
	user = numeric ? getpwuid((uid_t)number) : getpwnam(value);
	if (!user && !numeric)
		return config_field_error(field,
					  "unknown user `%s`: create it (`useradd --system %s`), or name another user",
					  value, value);
	config->user.uid = user ? user->pw_uid : (uid_t)number;
	if (config->user.uid == 0)
		return config_field_error(
			field, "`%s` has all permissions: name a user without privileges, such as nobody", value);
	if (user && !config->user.has_group) {
		config->user.gid = user->pw_gid;
		config->user.has_group = true;
	}
	config->user.name = xcheck(strdup(value));
	config->user.line = field->line;
	return true;
}

bool set_group(struct config_field *field, const char *value)
{
	struct config *config = field->config;
	uint64_t number = 0;
	bool numeric = value_number(value, 0, ID_MAX, &number);
	const struct group *group;

	if (!is_word(value))
		return false;
	group = numeric ? NULL : getgrnam(value);
	if (!group && !numeric)
		return config_field_error(
			field, "unknown group `%s`: create it (`groupadd --system %s`), or name another group", value,
			value);
	config->user.gid = group ? group->gr_gid : (gid_t)number;
	config->user.has_group = true;
	return true;
}

/* The path of a file must contain a slash, so that a mistyped word such as `sdterr` does not create a file. */
bool set_target(struct config_field *field, const char *value)
{
	static const char *const targets[] = {"off", "stderr", "stdout", NULL};
	unsigned target = LOG_TARGET_FILE;

	if (!value_choice(value, targets, &target)) {
		if (!strchr(value, '/'))
			return false;
		field->config->datagram_log.path = xcheck(strdup(value));
		field->config->datagram_log.line = field->line;
	}
	field->config->datagram_log.target = target;
	return true;
}

/* --- [listener:NAME] --- */

bool config_field_charset(struct config_field *field, const char *name)
{
	if (!codec_is_known(name))
		return config_field_error(field, "unknown charset `%s`: write one that `iconv -l` lists", name);
	return codec_is_installed(name) ||
	       config_field_error(field, "this system cannot convert `%s`: " CODEC_INSTALL_HINT, name);
}

static bool add_listener_encoding(struct config_field *field, char *item)
{
	struct listener_config *listener = field->listener;

	if (!config_field_word(field, item) || (strcasecmp(item, "hex") && !config_field_charset(field, item)))
		return false;
	*(char **)config_array_append(&listener->encodings, &listener->encoding_count, sizeof(char *)) =
		xcheck(strdup(item));
	return true;
}

bool set_listener_encoding(struct config_field *field, const char *value)
{
	return config_field_each_item(field, value, add_listener_encoding);
}

bool set_log(struct config_field *field, const char *value)
{
	static const char *const words[] = {"none", "all", NULL};
	uint64_t every;
	unsigned word;

	if (value_choice(value, words, &word))
		every = word;
	else if (strncmp(value, "1/", 2) || !value_number(value + 2, 1, UINT32_MAX, &every))
		return false;
	field->listener->log_every = (uint32_t)every;
	return true;
}
