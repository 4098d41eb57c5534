/* SPDX-License-Identifier: MIT */
#ifndef COMMON_FILECURSOR_H
#define COMMON_FILECURSOR_H

/*
 * The cursor file of a sink that writes files: how far the files are, and how
 * long each of them is. Lines of words parted by one space; the bytes up to
 * 0x20, '%' and 0x7f stand as %XX in a word, an empty word is a single '%':
 *
 *	weir-cursor 1
 *	store UUID
 *	sink NAME
 *	lane N
 *	sequence N		all records up to here are in the files
 *	hash HEX		of that record; left out when unknown
 *	epoch N
 *	parked N
 *	file GENERATION LENGTH HEAD-LENGTH HEAD-SHA256 NAME
 *	note WORD...		what the plugin keeps; in its own order
 *	swap TEMPORARY NAME	a rename still to be done; its source is synced
 *	drop NAME		a file still to be removed
 *	end SHA256		of all lines before
 */

#include "common/text.h"

#define FILECURSOR_MAX ((size_t)64 << 20)

struct file_entry {
	char *name;	     /* within the folder */
	uint64_t generation; /* how often it was begun anew */
	uint64_t length;     /* bytes that are committed */
	uint64_t head_len;   /* bytes that head covers */
	uint8_t head[32];    /* SHA-256 of the file's beginning */
	int fd;		     /* -1: not open */
	uint64_t end;	     /* length with what is not committed yet */
	bool known;	     /* the cursor file on disk lists it */
	bool touched;	     /* written since the last commit */
	struct text pending; /* bytes to be written at end */
};

struct file_swap {
	char *temp; /* NULL: name is to be removed */
	char *name;
};

struct file_cursor {
	char store[37]; /* UUID as text */
	uint8_t store_id[16];
	char sink[64];
	uint32_t lane;
	uint64_t sequence, epoch, parked;
	uint8_t hash[32]; /* zeros: not known */
	struct file_entry *files;
	size_t nfiles;
	char **notes; /* words as they stand in the file */
	size_t nnotes;
	struct file_swap *swaps;
	size_t nswaps;
};

void filecursor_init(struct file_cursor *c);
void filecursor_fini(struct file_cursor *c, const struct weir_sink_host *host);

/* Adds; NULL or false without memory. Strings are copied. */
struct file_entry *filecursor_add_file(struct file_cursor *c,
				       const struct weir_sink_host *host,
				       const char *name);
bool filecursor_add_note(struct file_cursor *c,
			 const struct weir_sink_host *host, const char *words);
bool filecursor_add_swap(struct file_cursor *c,
			 const struct weir_sink_host *host, const char *temp,
			 const char *name);
void filecursor_clear_swaps(struct file_cursor *c,
			    const struct weir_sink_host *host);

/* Appends the text form; b->failed tells of no memory. */
void filecursor_write(struct text *b, const struct file_cursor *c);

/* Reads text (changed by it) into an initialised cursor. 0; -1 damaged, *why
 * says how; -2 no memory. */
int filecursor_read(struct file_cursor *c, const struct weir_sink_host *host,
		    char *text, size_t len, const char **why);

/* Appends a word escaped; unescapes one in place and returns its length. */
void filecursor_put_word(struct text *b, const char *s, size_t n);
size_t filecursor_unescape(char *word);

#endif
