#include "admin/explain_report.h"

#include <stdarg.h>

#include "config/keys.h"

void explain_line(const struct explain_report *report, const char *format, ...)
{
	va_list arguments;

	fputs(EXPLAIN_INDENT, report->out);
	va_start(arguments, format);
	vfprintf(report->out, format, arguments);
	va_end(arguments);
	putc('\n', report->out);
}

struct config_location config_location_of(const struct section_lines *lines, const char *key)
{
	unsigned line = config_line(lines, key);
	struct config_location location;

	if (line)
		snprintf(location.text, sizeof(location.text), "%s, line %u", key, line);
	else
		snprintf(location.text, sizeof(location.text), "%s, default", key);
	return location;
}

const char *explain_choice_name(const char *key, unsigned choice)
{
	return config_key_find(SECTION_LISTENER, key)->words[choice];
}
