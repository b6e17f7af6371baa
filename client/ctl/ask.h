/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.h - asks a person on the terminal; pass phrases stay in one locked page.
 */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { ASK_MAX = 1024 };

/* A page that is locked, in no core, and wiped by ask_free(); NULL is out of memory. */
char *ask_page(void);
void ask_free(char *page);

/* One line from fd without its end: its length, -1 and errno. */
ssize_t ask_line(int fd, char *out, size_t size);

/* Asks on the terminal, with echo or without. The length; -1 after saying why not: what (the verb)
 * comes first, and instead says how to do without a terminal. */
ssize_t ask(const char *what, const char *instead, const char *prompt, bool echo, char *out,
            size_t size);

/* A pipe that holds the pass phrase and its end, to be read: it is far shorter than a pipe is deep.
 * -1 and errno. */
int ask_pipe(const char *phrase, size_t n);

/* There is a terminal to ask on. */
bool ask_can(void);

/* Ctrl-C or the like has ended the last ask(). */
bool ask_stopped(void);

#endif
