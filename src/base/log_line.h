/* Formats the lines of the operational log. */
#ifndef UDPRELAYD_BASE_LOG_LINE_H
#define UDPRELAYD_BASE_LOG_LINE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

/* Size of a message in which every byte is written as \xNN. */
#define LOG_LINE_ESCAPED_MAX (4 * LOG_LINE_MAX)

/* Size of the buffer for a line: JSON at most doubles an escaped message; 128 bytes are for time, level and syntax. */
#define LOG_LINE_BUFFER (2 * LOG_LINE_ESCAPED_MAX + 128)

/* Formats a message like vsnprintf(3). A message that is too long ends in an ellipsis. */
void log_line_print(char text[LOG_LINE_MAX], const char *format, va_list arguments);

/* Writes the line of a message, with the current time and a newline but without a NUL. journal selects the form for the
 * journal, see log_create(). Returns the number of bytes. */
size_t log_line_format(char out[LOG_LINE_BUFFER], bool journal, enum log_format format, enum log_level level,
		       const char *text);

#endif
