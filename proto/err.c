/* SPDX-License-Identifier: Apache-2.0
 *
 * err.c - struct oc_err: fill, wrap, print.
 *
 * Pure but for vsnprintf(); any thread. The table is include/ocid/error.h.
 */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

struct row {
    int code, status;
    enum oc_retry retry;
    const char *name, *text;
};

static const struct row rows[] = {
#define ERR_ROW(number, name, retry, status, text) {number, status, OC_RETRY_##retry, #name, text},
    OCID_ERRORS(ERR_ROW)
#undef ERR_ROW
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct row *find(int code)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].code == code)
            return &rows[i];
    return &rows[0];
}

const char *oc_err_mend(int code)
{
    switch (code) {
#define ERR_MEND(name, command)                                                                    \
    case OCID_E_##name:                                                                            \
        return command;
        OCID_MENDS(ERR_MEND)
#undef ERR_MEND
    default:
        return NULL;
    }
}

int oc_fail(struct oc_err *err, int code, int sys, const char *fmt, ...)
{
    if (!err)
        return code;
    *err = (struct oc_err){.code = code, .sys = sys};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    if (sys)
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerrordesc_np(sys));
    return code;
}

int oc_wrap(struct oc_err *err, const char *fmt, ...)
{
    if (!err)
        return OCID_E_INTERNAL;
    char before[sizeof err->text], after[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(before, sizeof before, fmt, ap);
    va_end(ap);
    memcpy(after, err->text, sizeof after);
    oc_text_join(err->text, sizeof err->text, before, ": ", after);
    return err->code;
}

void oc_err_clear(struct oc_err *err)
{
    *err = (struct oc_err){0};
}

/* The wire has names in lower case; the table's are in upper case, for the enum. */
static int same_name(const char *upper, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = upper[i] >= 'A' && upper[i] <= 'Z' ? (char)(upper[i] + 32) : upper[i];
        if (!upper[i] || c != lower[i])
            return 0;
    }
    return !upper[n];
}

const char *oc_err_name(int code)
{
    static _Thread_local char lower[32];
    const char *name = code == OCID_OK ? "ok" : find(code)->name;
    size_t i = 0;
    for (; name[i] && i < sizeof lower - 1; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    lower[i] = 0;
    return lower;
}

const char *oc_err_text(int code)
{
    return code == OCID_OK ? "no error" : find(code)->text;
}

enum oc_retry oc_err_retry(int code)
{
    return find(code)->retry;
}

int oc_err_exit(int code)
{
    return code == OCID_OK ? 0 : find(code)->status;
}

int oc_err_by_name(const char *name, size_t n)
{
    if (n == 2 && !memcmp(name, "ok", 2))
        return OCID_OK;
    for (size_t i = 0; i < N_ROWS; i++)
        if (same_name(rows[i].name, name, n))
            return rows[i].code;
    return OCID_E_INTERNAL;
}

const char *oc_err_print(const struct oc_err *err, char *out, size_t size)
{
    char tail[256] = "", raw[sizeof err->text + sizeof tail + 8];
    const char *text = err->text[0] ? err->text : oc_err_text(err->code);
    if (err->http_status || err->request_id[0])
        snprintf(tail, sizeof tail, " (%d%s%s%s%s)", err->http_status,
                 err->service_code[0] ? " " : "", err->service_code,
                 err->request_id[0] ? ", request " : "", err->request_id);
    oc_text_join(raw, sizeof raw, text, "", tail);
    oc_text_escape(raw, strlen(raw), out, size);
    return out;
}
