#include "client/send/line_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "client/send/line_editor.h"

#define PIECE_SIZE 65536

struct line_input {
	int fd;
	const char *prompt; /* NULL: no terminal, or nobody would see it */
	struct line_editor *editor; /* NULL: the terminal edits as it can, or there is none */
	bool prompted;
	bool ended; /* nothing more is to be read */
	int error; /* for which it ended, a positive errno */
	bool skips; /* the rest of a line that is too long */

	/* Of an editor, the line that it has done; else what has been read, of which the first part is gone. */
	const char *line;
	size_t length;
	char *buffer; /* LINE_INPUT_MAX, and a piece more */
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
	input->buffer = xcheck(malloc(LINE_INPUT_MAX + PIECE_SIZE));
	*out = input;
}

void line_input_destroy(struct line_input *input)
{
	if (!input)
		return;
	if (input->prompted)
		putchar('\n');
	line_editor_destroy(input->editor);
	free(input->buffer);
	free(input);
}

/* --- With an editor --- */

static void read_key(struct line_input *input)
{
	switch (line_editor_read(input->editor, &input->line, &input->length)) {
	case EDITOR_END:
		input->ended = true;
		break;
	case EDITOR_MORE:
		input->line = NULL;
		break;
	case EDITOR_LINE:
		break;
	}
}

static enum line_state next_edited(struct line_input *input, const char **line, size_t *length)
{
	if (!input->line || input->ended)
		return input->ended ? LINE_END : LINE_WANTED;
	*line = input->line;
	*length = input->length;
	input->line = NULL;
	return LINE_READY;
}

/* --- Without --- */

/* There is room: a line that would fill it is too long, and is not kept. */
static void read_piece(struct line_input *input)
{
	ssize_t size;

	memmove(input->buffer, input->buffer + input->begin, input->end - input->begin);
	input->end -= input->begin;
	input->begin = 0;
	size = read(input->fd, input->buffer + input->end, PIECE_SIZE);
	if (size > 0) {
		input->end += (size_t)size;
		input->prompted = false;
	} else if (size == 0 || (errno != EINTR && errno != EAGAIN)) {
		input->ended = true;
		input->error = size ? errno : 0;
	}
}

/* What has come of a line that has no end yet. */
static enum line_state next_unended(struct line_input *input, const char **line, size_t *length)
{
	size_t size = input->end - input->begin;

	if (size > LINE_INPUT_MAX || input->skips) {
		bool told = input->skips;

		input->skips = true;
		input->begin = input->end;
		if (!told)
			return LINE_TOO_LONG;
	} else if (input->ended && size) {
		*line = input->buffer + input->begin;
		*length = size;
		input->begin = input->end;
		return LINE_READY;
	}
	return input->ended ? LINE_END : LINE_WANTED;
}

static enum line_state next_buffered(struct line_input *input, const char **line, size_t *length)
{
	const char *begin = input->buffer + input->begin;
	const char *newline = memchr(begin, '\n', input->end - input->begin);
	bool skipped = input->skips;

	if (!newline)
		return next_unended(input, line, length);
	*line = begin;
	*length = (size_t)(newline - begin);
	input->begin += *length + 1;
	input->skips = false;
	if (skipped)
		return next_buffered(input, line, length);
	return *length > LINE_INPUT_MAX ? LINE_TOO_LONG : LINE_READY;
}

/* --- Both --- */

void line_input_read(struct line_input *input)
{
	if (input->editor)
		read_key(input);
	else
		read_piece(input);
}

enum line_state line_input_next(struct line_input *input, const char **line, size_t *length)
{
	return input->editor ? next_edited(input, line, length) : next_buffered(input, line, length);
}

int line_input_error(const struct line_input *input)
{
	return input->error;
}

void line_input_show(struct line_input *input)
{
	if (input->editor) {
		line_editor_show(input->editor);
	} else if (input->prompt && !input->prompted) {
		input->prompted = true;
		fputs(input->prompt, stdout);
		fflush(stdout);
	}
}

void line_input_hide(struct line_input *input)
{
	if (input->editor) {
		line_editor_hide(input->editor);
	} else if (input->prompted) {
		input->prompted = false;
		fputs(LINE_EDITOR_CLEAR, stdout);
		fflush(stdout);
	}
}
