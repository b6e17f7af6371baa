/* SPDX-License-Identifier: Apache-2.0
 *
 * test_book.c - jobs by id, ids by key, successors by predecessor.
 */
#include "jobs/book.h"

#include "jobs/kit.h"

enum { FAR = 50000, IDS = 6000 };

static void test_ids_far_apart_and_older_than_the_first_page(void **state)
{
    static const uint64_t ids[] = {FAR, 1, FAR + 1, 1023, 1024, 7000, FAR - 1025, 2};
    static const uint64_t sorted[] = {1, 2, 1023, 1024, 7000, FAR - 1025, FAR, FAR + 1};
    struct book b;
    struct job *j = NULL;
    (void)state;
    book_init(&b, FAR);
    assert_null(book_each(&b, 0));
    assert_null(book_before(&b, UINT64_MAX));
    for (unsigned i = 0; i < N_ROWS(ids); i++)
        book_add(&b, kit_job(ids[i], 0, 0));
    assert_int_equal(b.n_jobs, N_ROWS(ids));
    for (unsigned i = 0; i < N_ROWS(sorted); i++) {
        j = book_each(&b, i ? sorted[i - 1] + 1 : 0);
        assert_int_equal(j->id, sorted[i]);
        assert_ptr_equal(book_find(&b, sorted[i]), j);
        assert_int_equal(book_before(&b, sorted[i] + 1)->id, sorted[i]);
    }
    assert_null(book_each(&b, FAR + 2));
    assert_null(book_before(&b, 1));
    assert_int_equal(book_before(&b, UINT64_MAX)->id, FAR + 1);
    assert_null(book_find(&b, 0));
    assert_null(book_find(&b, UINT64_MAX));
    book_fini(&b);
}

static void test_a_model_agrees(void **state)
{
    static struct job *model[IDS];
    uint64_t rng = kit_seed(), n = 0;
    struct book b;
    (void)state;
    book_init(&b, 3000);
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t id = kit_random(&rng, IDS), other = kit_random(&rng, IDS);
        if (!model[id]) {
            book_add(&b, model[id] = kit_job(id, 0, 0));
            n++;
        } else {
            book_remove(&b, model[id]);
            free(model[id]);
            model[id] = NULL;
            n--;
        }
        assert_int_equal(b.n_jobs, n);
        assert_ptr_equal(book_find(&b, other), model[other]);
        if (i % 16)
            continue;
        uint64_t up = other, down = other;
        while (up < IDS && !model[up])
            up++;
        while (down && !model[down - 1])
            down--;
        assert_ptr_equal(book_each(&b, other), up < IDS ? model[up] : NULL);
        assert_ptr_equal(book_before(&b, other), down ? model[down - 1] : NULL);
    }
    book_fini(&b);
}

static void test_keys_belong_to_their_user(void **state)
{
    struct book b;
    struct ocp_str key = ocp_str("key"), zeros = {"a\0b", 3}, other = {"a\0c", 3};
    (void)state;
    book_init(&b, 1);
    assert_int_equal(book_key_find(&b, 1, key), 0);
    book_key_add(&b, 1, key, 7);
    book_key_add(&b, 2, key, 8);
    book_key_add(&b, 1, zeros, 9);
    assert_int_equal(book_key_find(&b, 1, key), 7);
    assert_int_equal(book_key_find(&b, 2, key), 8);
    assert_int_equal(book_key_find(&b, 1, zeros), 9);
    assert_int_equal(book_key_find(&b, 1, other), 0);
    book_key_remove(&b, 1, key);
    book_key_remove(&b, 3, key);
    assert_int_equal(book_key_find(&b, 1, key), 0);
    assert_int_equal(book_key_find(&b, 2, key), 8);
    book_fini(&b);
}

static void test_successors_come_once(void **state)
{
    struct book b;
    uint64_t sum = 0, id;
    (void)state;
    book_init(&b, 1);
    for (uint64_t i = 10; i < 20; i++)
        book_after_add(&b, 5, i);
    book_after_add(&b, 6, 99);
    book_after_add(&b, 5, 12);
    book_after_drop(&b, 5, 12);
    book_after_drop(&b, 5, 12);
    book_after_drop(&b, 4, 12);
    while ((id = book_after_take(&b, 5)))
        sum += id;
    assert_int_equal(sum, 145 - 12);
    assert_int_equal(book_after_take(&b, 5), 0);
    book_after_drop(&b, 6, 99);
    assert_int_equal(book_after_take(&b, 6), 0);
    assert_null(b.after);
    book_fini(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_far_apart_and_older_than_the_first_page),
        cmocka_unit_test(test_a_model_agrees),
        cmocka_unit_test(test_keys_belong_to_their_user),
        cmocka_unit_test(test_successors_come_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
