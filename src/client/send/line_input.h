/* Reads lines from a file, a pipe or a terminal. On a terminal, the user can edit lines and recall earlier ones if
 * libedit is built in. Lines may contain NUL bytes; the last line may lack a line end. */
#ifndef UDPRELAYD_CLIENT_SEND_LINE_INPUT_H
#define UDPRELAYD_CLIENT_SEND_LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* Largest length of a line in bytes. The hex digits of any datagram fit, with blanks between the bytes. */
#define LINE_INPUT_MAX (256 << 10)

struct line_input;

enum line_input_state {
	LINE_INPUT_READY,
	LINE_INPUT_NEED_DATA, /* call line_input_read() */
	LINE_INPUT_TOO_LONG, /* that line was discarded */
	LINE_INPUT_END,
};

/* Creates an input that reads from fd; nothing else may read from it until line_input_destroy(). Shows prompt if fd
 * and standard output are terminals. fd and prompt stay the caller's. Aborts when out of memory. */
void line_input_create(struct line_input **input, int fd, const char *prompt);

/* Restores the terminal and moves the cursor to the beginning of a line. NULL is accepted. */
void line_input_destroy(struct line_input *input);

/* Reads from the descriptor once. Blocks if nothing can be read. */
void line_input_read(struct line_input *input);

/* Returns the next line without its line end. *line is valid until the next call of any function here. The last line
 * needs no line end. */
enum line_input_state line_input_next(struct line_input *input, const char **line, size_t *length);

/* Returns 0 after the end of the input, or the positive errno of a read error. */
int line_input_error(const struct line_input *input);

/* On a terminal, shows the prompt and the text of the line, or hides them, so that other output can be written. */
void line_input_show(struct line_input *input);
void line_input_hide(struct line_input *input);

#endif
