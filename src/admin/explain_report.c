#include "admin/explain_report.h"

#include <stdarg.h>

#include "config/keys.h"

void explain_line(const struct explain_report *explanation, const char *format, ...)
{
	va_list arguments;

	fputs(FACT_INDENT, explanation->out);
	va_start(arguments, format);
	vfprintf(explanation->out, format, arguments);
	va_end(arguments);
	putc('\n', explanation->out);
}

struct config_location config_location_of(const struct section_lines *lines, const char *key)
{
	unsigned line = config_line(lines, key);
	struct config_location place;

	if (line)
		snprintf(place.text, sizeof(place.text), "%s, line %u", key, line);
	else
		snprintf(place.text, sizeof(place.text), "%s, default", key);
	return place;
}

const char *explain_choice_name(const char *key, unsigned choice)
{
	return config_key_find(SECTION_LISTENER, key)->words[choice];
}
