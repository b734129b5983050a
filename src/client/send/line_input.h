/* Lines, as they come from a file, a pipe or a terminal. On a terminal they are edited with the keys, and remembered,
 * where libedit is built in. */
#ifndef UDPRELAYD_CLIENT_SEND_LINE_INPUT_H
#define UDPRELAYD_CLIENT_SEND_LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a line: enough for the hex digits of any datagram, with blanks between them. */
#define LINE_INPUT_MAX (256 << 10)

struct line_input;

enum line_state {
	LINE_READY,
	LINE_WANTED, /* read more */
	LINE_TOO_LONG, /* that one is left out */
	LINE_END,
};

/* Reads from fd, and nothing else does until the end; prompt is shown where fd and standard output are terminals. */
void line_input_create(struct line_input **input, int fd, const char *prompt);

/* Leaves the terminal as it was, at the beginning of a line. NULL is accepted. */
void line_input_destroy(struct line_input *input);

/* Reads once, which may block where nothing waits. */
void line_input_read(struct line_input *input);

/* The next line, without its end; valid until the next call of anything here. A last line needs no end. */
enum line_state line_input_next(struct line_input *input, const char **line, size_t *length);

/* After the end: 0, or the positive errno for which nothing more could be read. */
int line_input_error(const struct line_input *input);

/* On a terminal: shows the prompt, and takes it away for a while, together with what has been typed behind it, so that
 * others may write there. */
void line_input_show(struct line_input *input);
void line_input_hide(struct line_input *input);

#endif
