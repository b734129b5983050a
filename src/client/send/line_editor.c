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

/* Lines that are remembered. */
#define REMEMBERED 1000

/* What ends the input at the beginning of a line (Ctrl-D). */
#define END_KEY 4

struct line_editor {
	EditLine *edit;
	History *history;
	const char *prompt;
	bool active; /* the terminal gives key by key */
	bool shown; /* the prompt, and what stands behind it */
};

static char *prompt_of(EditLine *edit)
{
	struct line_editor *editor;

	el_get(edit, EL_CLIENTDATA, &editor);
	return (char *)editor->prompt;
}

/* Whatever the locale: what is typed is UTF-8. */
static void use_utf8(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
}

static void set_up(struct line_editor *editor)
{
	HistEvent event;

	history(editor->history, &event, H_SETSIZE, REMEMBERED);
	history(editor->history, &event, H_SETUNIQUE, 1);
	el_set(editor->edit, EL_CLIENTDATA, editor);
	el_set(editor->edit, EL_PROMPT, prompt_of);
	el_set(editor->edit, EL_EDITOR, "emacs");
	el_set(editor->edit, EL_HIST, history, editor->history);
	el_source(editor->edit, NULL); /* ~/.editrc */
}

struct line_editor *line_editor_create(const char *prompt)
{
	struct line_editor *editor = xcheck(calloc(1, sizeof(*editor)));

	use_utf8();
	editor->prompt = prompt;
	editor->edit = el_init("udprelay", stdin, stdout, stderr);
	editor->history = history_init();
	if (!editor->edit || !editor->history) {
		line_editor_destroy(editor);
		return NULL;
	}
	set_up(editor);
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

/* For libedit an empty line and a terminal that cannot be read any more are the same, but for errno. */
static bool is_gone(int error)
{
	struct pollfd terminal = {STDIN_FILENO, POLLIN, 0};

	return error == EIO || (poll(&terminal, 1, 0) > 0 && terminal.revents & (POLLHUP | POLLERR | POLLNVAL));
}

enum line_editor_state line_editor_read(struct line_editor *editor, const char **line, size_t *length)
{
	HistEvent event;
	int count = 0;

	errno = 0;
	*line = el_gets(editor->edit, &count);
	if (!*line || count <= 0)
		return is_gone(errno) ? EDITOR_END : EDITOR_MORE;
	if (count == 1 && **line == END_KEY)
		return EDITOR_END;
	if ((*line)[count - 1] != '\n' && (*line)[count - 1] != '\r')
		return EDITOR_MORE;
	*length = (size_t)count - 1;
	if (*length)
		history(editor->history, &event, H_ENTER, *line);
	el_set(editor->edit, EL_UNBUFFERED, 0);
	editor->active = editor->shown = false;
	return EDITOR_LINE;
}

/* As libedit shows it: a control character as ^X, another one that cannot be printed as \U+XXXX. */
static int width_of(wchar_t c)
{
	int width = wcwidth(c);

	return width >= 0 ? width : c < 0x80 ? 2 : 7;
}

/* How many rows the cursor is below the prompt. */
static int row_of_cursor(const struct line_editor *editor)
{
	const LineInfoW *line = el_wline(editor->edit);
	int columns = 0, column = (int)strlen(editor->prompt), row = 0;

	if (el_get(editor->edit, EL_GETTC, "co", &columns) || columns <= 0)
		return 0;
	for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
		if (column + width_of(*c) > columns) {
			row++;
			column = 0;
		}
		column += width_of(*c);
	}
	return row + (column == columns);
}

void line_editor_hide(struct line_editor *editor)
{
	for (int row = editor->shown ? row_of_cursor(editor) : 0; row > 0; row--)
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

enum line_editor_state line_editor_read(struct line_editor *editor, const char **line, size_t *length)
{
	(void)editor;
	(void)line;
	(void)length;
	return EDITOR_END;
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
