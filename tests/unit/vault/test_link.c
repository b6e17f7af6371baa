/* SPDX-License-Identifier: Apache-2.0
 *
 * test_link.c - the signing end against a signer that the test plays itself.
 */
#include "signer/fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <uv.h>

#include "vault/vault.h"

enum { MANY = 1000 };

struct job {
    struct vault_ask ask;
    int calls, code;
    char signature[64];
    struct world *world;
};

/* A loop, a link and the signer's end of its socket. */
struct world {
    uv_loop_t loop;
    struct vault_link *link;
    int signer, n_called;
    struct job job[MANY];
};

static void on_signed(struct vault_ask *ask)
{
    struct job *j = ask->arg;
    j->calls++;
    j->world->n_called++;
    j->code = ask->code;
    assert_int_equal(ask->err->code, ask->code);
    snprintf(j->signature, sizeof j->signature, "%s", ask->signature);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    int fd[2];
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
    w->link = vault_link_new(&w->loop, fd[0]);
    w->signer = fd[1];
    return w;
}

static void world_free(struct world *w)
{
    vault_link_close(w->link);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    if (w->signer >= 0)
        close(w->signer);
    free(w);
}

static struct job *ask(struct world *w, int i, const char *string)
{
    struct job *j = &w->job[i];
    j->world = w;
    j->ask = (struct vault_ask){
        .profile = "a", .string = string, .len = strlen(string), .cb = on_signed, .arg = j};
    vault_link_sign(w->link, &j->ask);
    return j;
}

static void turn(struct world *w)
{
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* The next question at the signer's end; 0 if there is none. */
static int take(struct world *w, struct wire_head *head, char *string)
{
    static char bytes[WIRE_ASK_MAX];
    struct wire_part part[WIRE_PARTS];
    ssize_t n = recv(w->signer, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0)
        return 0;
    assert_true(wire_parse(bytes, (size_t)n, head, part));
    assert_int_equal(head->verb, WIRE_SIGN);
    memcpy(string, part[1].s, part[1].n);
    string[part[1].n] = 0;
    return 1;
}

static void give(struct world *w, const struct wire_head *asked, int code, const char *signature)
{
    char bytes[WIRE_SIGNED_MAX];
    struct wire_head head = {.verb = WIRE_SIGN, .tag = asked->tag, .code = code};
    struct wire_part part[] = {
        {"id", code ? 0 : 2}, {signature, code ? 0 : strlen(signature)}, {"because", code ? 7 : 0}};
    size_t n = wire_pack(&head, part, 3, bytes, sizeof bytes);
    assert_int_equal(send(w->signer, bytes, n, 0), (ssize_t)n);
}

static void test_out_of_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head[3];
    char string[64];
    struct job *a = ask(w, 0, "a"), *b = ask(w, 1, "b"), *c = ask(w, 2, "c");
    assert_int_equal(w->n_called, 0);
    assert_false(take(w, head, string)); /* nothing leaves before the turn ends */
    turn(w);
    for (int i = 0; i < 3; i++)
        assert_true(take(w, &head[i], string));
    assert_string_equal(string, "c");
    give(w, &head[2], 0, "C");
    give(w, &head[0], OCID_E_LOCKED, "");
    give(w, &head[1], 0, "B");
    turn(w);
    assert_int_equal(w->n_called, 3);
    assert_string_equal(c->signature, "C");
    assert_string_equal(b->signature, "B");
    assert_int_equal(a->code, OCID_E_LOCKED);
    assert_int_equal(vault_link_pending(w->link), 0);
    world_free(w);
}

/* More than slots and socket hold; answered as they come, each exactly once. */
static void test_many(void **state)
{
    (void)state;
    struct world *w = world_new();
    static char texts[MANY][1024];
    struct wire_head head;
    char string[2048];
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "%d ", i);
        memset(texts[i] + n, 'x', 900);
        ask(w, i, texts[i]);
    }
    assert_int_equal(vault_link_pending(w->link), MANY);
    for (int turns = 0; w->n_called < MANY; turns++) {
        assert_true(turns < 10 * MANY);
        turn(w);
        while (take(w, &head, string)) {
            *strchr(string, ' ') = 0;
            give(w, &head, 0, string);
            turn(w);
        }
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(w->job[i].calls, 1);
        assert_int_equal(atoi(w->job[i].signature), i);
    }
    world_free(w);
}

static void test_cancel(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head[2];
    char string[64];
    struct job *a = ask(w, 0, "a"), *b = ask(w, 1, "b"), *c = ask(w, 2, "c");
    vault_link_cancel(&b->ask); /* not sent yet */
    vault_link_cancel(&b->ask);
    turn(w);
    assert_true(take(w, &head[0], string) && take(w, &head[1], string));
    assert_string_equal(string, "c");
    vault_link_cancel(&a->ask); /* on its way */
    memset(&a->ask, 0x55, sizeof a->ask);
    assert_int_equal(vault_link_pending(w->link), 1);
    give(w, &head[0], 0, "A");
    give(w, &head[1], 0, "C");
    turn(w);
    assert_int_equal(w->n_called, 1);
    assert_string_equal(c->signature, "C");
    world_free(w);
}

static void test_too_long(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head;
    char *large = malloc(WIRE_STRING_MAX + 2), string[WIRE_STRING_MAX + 1];
    memset(large, 'x', WIRE_STRING_MAX + 1);
    large[WIRE_STRING_MAX + 1] = 0;
    ask(w, 0, "before");
    ask(w, 1, large);
    ask(w, 2, large + 1);
    assert_int_equal(w->n_called, 0);
    turn(w);
    turn(w);
    assert_int_equal(w->job[1].code, OCID_E_TOO_LARGE);
    assert_int_equal(w->n_called, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(take(w, &head, string));
        give(w, &head, 0, "S");
    }
    turn(w);
    assert_int_equal(w->n_called, 3);
    free(large);
    world_free(w);
}

static void ask_again(struct vault_ask *a)
{
    struct job *j = a->arg;
    j->code = a->code;
    if (++j->calls < 3)
        vault_link_sign(j->world->link, a);
}

/* Every ask is called back, those that come after the end too, and never from inside the call. */
static void test_signer_dies(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (int i = 0; i < 600; i++)
        ask(w, i, "text");
    turn(w);
    ask(w, 600, "not sent");
    vault_link_cancel(&w->job[3].ask);
    close(w->signer);
    w->signer = -1;
    for (int i = 0; i < 20 && w->n_called < 600; i++)
        turn(w);
    for (int i = 0; i <= 600; i++) {
        assert_int_equal(w->job[i].calls, i != 3);
        assert_int_equal(w->job[i].code, i != 3 ? OCID_E_STOPPING : 0);
    }
    struct job *late = ask(w, 700, "late");
    late->ask.cb = ask_again;
    assert_int_equal(late->calls, 0);
    for (int i = 0; i < 10; i++)
        turn(w);
    assert_int_equal(late->calls, 3);
    world_free(w);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        uint32_t verb;
        uint64_t tag_xor;
        size_t cut;
    } rows[] = {
        {WIRE_SIGN, 1, 0},  {WIRE_SIGN, 1ull << 32, 0}, {WIRE_SIGN, 1ull << 20, 0},
        {WIRE_FACTS, 0, 0}, {WIRE_SIGN, 0, 1},          {WIRE_SIGN, 0, 47},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct world *w = world_new();
        struct wire_head head;
        char string[64], bytes[128];
        ask(w, 0, "a");
        turn(w);
        assert_true(take(w, &head, string));
        struct wire_head bad = {.verb = rows[i].verb, .tag = head.tag ^ rows[i].tag_xor};
        size_t n = wire_pack(&bad, &(struct wire_part){"x", 1}, 1, bytes, sizeof bytes);
        assert_true(send(w->signer, bytes, n - rows[i].cut, 0) > 0);
        for (int k = 0; k < 4; k++)
            turn(w);
        assert_int_equal(w->job[0].code, OCID_E_STOPPING);
        world_free(w);
    }
}

/* What is under way when the link closes hears of it before the link is gone. */
static void test_close(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head;
    char string[64];
    ask(w, 0, "sent");
    turn(w);
    assert_true(take(w, &head, string));
    ask(w, 1, "waits");
    vault_link_close(w->link);
    assert_int_equal(w->n_called, 0);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w->n_called, 2);
    assert_int_equal(w->job[1].code, OCID_E_STOPPING);
    w->link = NULL;
    world_free(w);
}

static void close_link(struct vault_ask *a)
{
    struct job *j = a->arg;
    j->calls++;
    vault_link_close(j->world->link);
}

static void test_close_in_callback(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head[2];
    char string[64];
    ask(w, 0, "a")->ask.cb = close_link;
    ask(w, 1, "b");
    turn(w);
    assert_true(take(w, &head[0], string) && take(w, &head[1], string));
    give(w, &head[0], 0, "A");
    give(w, &head[1], 0, "B");
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w->job[0].calls, 1);
    assert_int_equal(w->job[1].code, OCID_E_STOPPING);
    w->link = NULL;
    world_free(w);
}

/* The loop sleeps while nothing is to be done: no turn without an event. */
static void test_no_busy_loop(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct wire_head head;
    char string[64];
    ask(w, 0, "a");
    turn(w);
    assert_int_equal(uv_backend_timeout(&w->loop), -1);
    assert_true(take(w, &head, string));
    give(w, &head, 0, "A");
    turn(w);
    assert_int_equal(uv_backend_timeout(&w->loop), -1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_many),
        cmocka_unit_test(test_cancel),       cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_signer_dies),  cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_close),        cmocka_unit_test(test_close_in_callback),
        cmocka_unit_test(test_no_busy_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
