#include "client/send/line_editor.h"

#include "build_config.h"

#if HAVE_LIBEDIT

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/xalloc.h"

/* Number of lines in the history. */
#define HISTORY_LINES 1000

/* Ctrl-D, which ends the input at the beginning of a line. */
#define END_KEY 4

struct line_editor {
	EditLine *edit;
	History *history;
	const char *prompt;
	bool active; /* the terminal delivers single keys (EL_UNBUFFERED) */
	bool shown; /* the prompt and the edited line are visible */
};

static char *line_editor_prompt(EditLine *edit)
{
	struct line_editor *editor;

	el_get(edit, EL_CLIENTDATA, &editor);
	return (char *)editor->prompt;
}

/* The input is UTF-8 in every locale. */
static void line_editor_set_locale(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
}

static void line_editor_configure(struct line_editor *editor)
{
	HistEvent event;

	history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
	history(editor->history, &event, H_SETUNIQUE, 1);
	el_set(editor->edit, EL_CLIENTDATA, editor);
	el_set(editor->edit, EL_PROMPT, line_editor_prompt);
	el_set(editor->edit, EL_EDITOR, "emacs");
	el_set(editor->edit, EL_HIST, history, editor->history);
	el_source(editor->edit, NULL); /* reads ~/.editrc */
}

struct line_editor *line_editor_create(const char *prompt)
{
	struct line_editor *editor = xcheck(calloc(1, sizeof(*editor)));

	line_editor_set_locale();
	editor->prompt = prompt;
	editor->edit = el_init("udprelay", stdin, stdout, stderr);
	editor->history = history_init();
	if (!editor->edit || !editor->history) {
		line_editor_destroy(editor);
		return NULL;
	}
	line_editor_configure(editor);
	return editor;
}

void line_editor_destroy(struct line_editor *editor)
{
	if (!editor)
		return;
	if (editor->shown)
		putchar('\n');
	if (editor->edit) {
		el_set(editor->edit, EL_UNBUFFERED, 0);
		el_end(editor->edit);
	}
	if (editor->history)
		history_end(editor->history);
	free(editor);
}

/* libedit returns the same for an empty line and for a terminal that cannot be read; only errno differs. */
static bool terminal_is_gone(int error)
{
	struct pollfd terminal = {STDIN_FILENO, POLLIN, 0};

	return error == EIO || (poll(&terminal, 1, 0) > 0 && terminal.revents & (POLLHUP | POLLERR | POLLNVAL));
}

enum line_editor_result line_editor_read(struct line_editor *editor, const char **line, size_t *length)
{
	HistEvent event;
	int count = 0;

	errno = 0;
	*line = el_gets(editor->edit, &count);
	if (!*line || count <= 0)
		return terminal_is_gone(errno) ? LINE_EDITOR_END : LINE_EDITOR_INCOMPLETE;
	if (count == 1 && **line == END_KEY)
		return LINE_EDITOR_END;
	if ((*line)[count - 1] != '\n' && (*line)[count - 1] != '\r')
		return LINE_EDITOR_INCOMPLETE;
	*length = (size_t)count - 1;
	if (*length)
		history(editor->history, &event, H_ENTER, *line);
	el_set(editor->edit, EL_UNBUFFERED, 0);
	editor->active = editor->shown = false;
	return LINE_EDITOR_LINE;
}

/* libedit shows a control character as ^X, and other characters that are not printable as \U+XXXX. */
static int displayed_width(wchar_t c)
{
	int width = wcwidth(c);

	return width >= 0 ? width : c < 0x80 ? 2 : 7;
}

/* Returns the number of rows from the prompt down to the cursor. */
static int line_editor_cursor_row(const struct line_editor *editor)
{
	const LineInfoW *line = el_wline(editor->edit);
	int columns = 0, column = (int)strlen(editor->prompt), row = 0;

	if (el_get(editor->edit, EL_GETTC, "co", &columns) || columns <= 0)
		return 0;
	for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
		if (column + displayed_width(*c) > columns) {
			row++;
			column = 0;
		}
		column += displayed_width(*c);
	}
	return row + (column == columns);
}

void line_editor_hide(struct line_editor *editor)
{
	for (int row = editor->shown ? line_editor_cursor_row(editor) : 0; row > 0; row--)
		fputs("\033[A", stdout);
	if (editor->shown)
		fputs(LINE_EDITOR_CLEAR, stdout);
	fflush(stdout);
	editor->shown = false;
}

void line_editor_show(struct line_editor *editor)
{
	if (!editor->active) {
		el_resize(editor->edit);
		el_set(editor->edit, EL_UNBUFFERED, 1);
	} else if (!editor->shown) {
		el_set(editor->edit, EL_REFRESH);
	}
	editor->active = editor->shown = true;
}

#else

struct line_editor *line_editor_create(const char *prompt)
{
	(void)prompt;
	return NULL;
}

void line_editor_destroy(struct line_editor *editor)
{
	(void)editor;
}

enum line_editor_result line_editor_read(struct line_editor *editor, const char **line, size_t *length)
{
	(void)editor;
	(void)line;
	(void)length;
	return LINE_EDITOR_END;
}

void line_editor_hide(struct line_editor *editor)
{
	(void)editor;
}

void line_editor_show(struct line_editor *editor)
{
	(void)editor;
}

#endif
