#include "admin/explain_report.h"

#include <stdarg.h>

#include "config/keys.h"

void fact(const struct explanation *explanation, const char *format, ...)
{
	va_list arguments;

	fputs(FACT_INDENT, explanation->out);
	va_start(arguments, format);
	vfprintf(explanation->out, format, arguments);
	va_end(arguments);
	putc('\n', explanation->out);
}

struct key_place place_of(const struct section_lines *lines, const char *key)
{
	unsigned line = config_line(lines, key);
	struct key_place place;

	if (line)
		snprintf(place.text, sizeof(place.text), "%s, line %u", key, line);
	else
		snprintf(place.text, sizeof(place.text), "%s, default", key);
	return place;
}

const char *listener_word(const char *key, unsigned choice)
{
	return config_key_find(SECTION_LISTENER, key)->words[choice];
}
