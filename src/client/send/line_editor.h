/* A line editor on the terminal, based on libedit. It reads one key at a time, so that an event loop can call it. */
#ifndef UDPRELAYD_CLIENT_SEND_LINE_EDITOR_H
#define UDPRELAYD_CLIENT_SEND_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

struct line_editor;

/* Uses standard input and standard output. prompt stays the caller's and must outlive the editor. Returns NULL if
 * libedit is not built in or cannot be initialised. */
struct line_editor *line_editor_create(const char *prompt);

/* Restores the terminal and moves the cursor to the beginning of a line. NULL is accepted. */
void line_editor_destroy(struct line_editor *editor);

/* Shows the prompt and the text of the line. Between the end of a line and this call, the terminal is in its normal
 * mode. */
void line_editor_show(struct line_editor *editor);

/* Clears the row of the cursor and all rows below. */
#define LINE_EDITOR_CLEAR "\r\033[J"

/* Hides the prompt and the text until the next line_editor_show(), so that other output can be written. */
void line_editor_hide(struct line_editor *editor);

enum line_editor_result { LINE_EDITOR_INCOMPLETE, LINE_EDITOR_LINE, LINE_EDITOR_END };

/* Reads one key. At the end of a line, *line is the line, valid until the next call, and *length its size in bytes
 * without the line end. */
enum line_editor_result line_editor_read(struct line_editor *editor, const char **line, size_t *length);

#endif
