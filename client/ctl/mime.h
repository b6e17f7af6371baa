/* SPDX-License-Identifier: Apache-2.0
 *
 * mime.h - the media type of a file, by the suffix of its name.
 */
#ifndef CTL_MIME_H
#define CTL_MIME_H

/* From a table of the form of /etc/mime.types; NULL: that one. Lives to the end of the program.
 * "application/octet-stream" if nothing is known. Reads the table once. */
const char *mime_type(const char *table, const char *path);

#endif
