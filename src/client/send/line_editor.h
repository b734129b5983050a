/* The keys of a terminal, as libedit understands them, one after another. */
#ifndef UDPRELAYD_CLIENT_SEND_LINE_EDITOR_H
#define UDPRELAYD_CLIENT_SEND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

struct line_editor;

/* On standard input and output. Returns NULL where libedit is not built in, or cannot work. */
struct line_editor *line_editor_create(const char *prompt);

/* Leaves the terminal as it was, at the beginning of a line. NULL is accepted. */
void line_editor_destroy(struct line_editor *editor);

/* Shows the prompt, and what has been typed behind it; from the end of a line until then the terminal is left alone. */
void line_editor_show(struct line_editor *editor);

/* Takes that away, so that others may write to the terminal, until it is shown again. */
#define LINE_EDITOR_CLEAR "\r\033[J"
void line_editor_hide(struct line_editor *editor);

enum line_editor_state { EDITOR_MORE, EDITOR_LINE, EDITOR_END };

/* Reads a key. When a line is done it stands in *line, valid until the next call. */
enum line_editor_state line_editor_read(struct line_editor *editor, const char **line, size_t *length);

#endif
