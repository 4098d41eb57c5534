/* SPDX-License-Identifier: MIT */
#ifndef SERVER_API_CHILD_H
#define SERVER_API_CHILD_H

/*
 * What needs a plugin is done by a command in a process of its own, so that no
 * plugin is ever loaded into the server: it may crash, hang or leak.
 */

struct api_call;

/*
 * Runs `weir WORDS --json` on the store (words NULL-ended, at most 8, borrowed
 * until this returns) and answers with what it prints, or with its error.
 * Gives what a route's run gives; the route's finish is api_child_finish.
 */
int api_child(struct api_call *c, const char *const *words);
void api_child_finish(struct api_call *c);

#endif
