#include "client/send/line_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "client/send/line_editor.h"

/* Size of one read call in bytes. */
#define READ_SIZE 65536

struct line_input {
	int fd;
	const char *prompt; /* NULL: input or output is not a terminal */
	struct line_editor *editor; /* NULL: there is no terminal, or only the kernel edits the line */
	bool prompt_shown;
	bool at_end; /* end of input or read error */
	int error; /* the read error, a positive errno */
	bool discards_line; /* the rest of a line that is too long is skipped */

	/* With an editor: the finished line. Without: the bytes between begin and end of the buffer. */
	const char *line;
	size_t length;
	char *buffer; /* LINE_INPUT_MAX + READ_SIZE bytes */
	size_t begin, end;
};

void line_input_create(struct line_input **out, int fd, const char *prompt)
{
	struct line_input *input = xcheck(calloc(1, sizeof(*input)));

	input->fd = fd;
	if (isatty(fd) && isatty(STDOUT_FILENO))
		input->prompt = prompt;
	if (input->prompt && fd == STDIN_FILENO)
		input->editor = line_editor_create(prompt);
	input->buffer = xcheck(malloc(LINE_INPUT_MAX + READ_SIZE));
	*out = input;
}

void line_input_destroy(struct line_input *input)
{
	if (!input)
		return;
	if (input->prompt_shown)
		putchar('\n');
	line_editor_destroy(input->editor);
	free(input->buffer);
	free(input);
}

/* --- Lines from the editor --- */

static void line_input_read_key(struct line_input *input)
{
	switch (line_editor_read(input->editor, &input->line, &input->length)) {
	case LINE_EDITOR_END:
		input->at_end = true;
		break;
	case LINE_EDITOR_INCOMPLETE:
		input->line = NULL;
		break;
	case LINE_EDITOR_LINE:
		break;
	}
}

static enum line_input_state line_input_next_edited(struct line_input *input, const char **line, size_t *length)
{
	if (!input->line || input->at_end)
		return input->at_end ? LINE_INPUT_END : LINE_INPUT_NEED_DATA;
	*line = input->line;
	*length = input->length;
	input->line = NULL;
	return LINE_INPUT_READY;
}

/* --- Lines from a buffer --- */

/* The buffer always has space for READ_SIZE bytes: a line longer than LINE_INPUT_MAX is discarded. */
static void line_input_read_bytes(struct line_input *input)
{
	ssize_t size;

	memmove(input->buffer, input->buffer + input->begin, input->end - input->begin);
	input->end -= input->begin;
	input->begin = 0;
	size = read(input->fd, input->buffer + input->end, READ_SIZE);
	if (size > 0) {
		input->end += (size_t)size;
		input->prompt_shown = false;
	} else if (size == 0 || (errno != EINTR && errno != EAGAIN)) {
		input->at_end = true;
		input->error = size ? errno : 0;
	}
}

/* Handles the bytes of a line whose end has not been read yet. */
static enum line_input_state line_input_next_partial(struct line_input *input, const char **line, size_t *length)
{
	size_t size = input->end - input->begin;

	if (size > LINE_INPUT_MAX || input->discards_line) {
		bool already_reported = input->discards_line;

		input->discards_line = true;
		input->begin = input->end;
		if (!already_reported)
			return LINE_INPUT_TOO_LONG;
	} else if (input->at_end && size) {
		*line = input->buffer + input->begin;
		*length = size;
		input->begin = input->end;
		return LINE_INPUT_READY;
	}
	return input->at_end ? LINE_INPUT_END : LINE_INPUT_NEED_DATA;
}

static enum line_input_state line_input_next_buffered(struct line_input *input, const char **line, size_t *length)
{
	const char *begin = input->buffer + input->begin;
	const char *newline = memchr(begin, '\n', input->end - input->begin);
	bool discarded = input->discards_line;

	if (!newline)
		return line_input_next_partial(input, line, length);
	*line = begin;
	*length = (size_t)(newline - begin);
	input->begin += *length + 1;
	input->discards_line = false;
	if (discarded)
		return line_input_next_buffered(input, line, length);
	return *length > LINE_INPUT_MAX ? LINE_INPUT_TOO_LONG : LINE_INPUT_READY;
}

/* --- Public functions --- */

void line_input_read(struct line_input *input)
{
	if (input->editor)
		line_input_read_key(input);
	else
		line_input_read_bytes(input);
}

enum line_input_state line_input_next(struct line_input *input, const char **line, size_t *length)
{
	return input->editor ? line_input_next_edited(input, line, length)
			     : line_input_next_buffered(input, line, length);
}

int line_input_error(const struct line_input *input)
{
	return input->error;
}

void line_input_show(struct line_input *input)
{
	if (input->editor) {
		line_editor_show(input->editor);
	} else if (input->prompt && !input->prompt_shown) {
		input->prompt_shown = true;
		fputs(input->prompt, stdout);
		fflush(stdout);
	}
}

void line_input_hide(struct line_input *input)
{
	if (input->editor) {
		line_editor_hide(input->editor);
	} else if (input->prompt_shown) {
		input->prompt_shown = false;
		fputs(LINE_EDITOR_CLEAR, stdout);
		fflush(stdout);
	}
}
