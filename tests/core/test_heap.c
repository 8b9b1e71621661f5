/*
 * test_heap.c - the heap of deadlines.
 */
#include <stdlib.h>

#include "kev/heap.h"
#include "runner.h"

#define NODES 500

static void
check_order(const struct kev_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        CHECK_EQ(heap->items[i].node->index, i);
        CHECK(i == 0 || !kev_heap_before(
            &heap->items[i], &heap->items[(i - 1) / KEV_HEAP_FANOUT]));
    }
}

TEST(heap_that_is_empty)
{
    struct kev_heap heap;
    struct kev_heap_node node = {.index = KEV_HEAP_OUTSIDE};
    kev_heap_init(&heap);
    CHECK(kev_heap_first(&heap) == NULL);
    CHECK(kev_heap_deadline(&heap) == UINT64_MAX);
    kev_heap_remove(&heap, &node);
    CHECK_EQ(heap.count, 0);
    kev_heap_fini(&heap);
}

TEST(heap_gives_the_nearest_first)
{
    struct kev_heap heap;
    struct kev_heap_node nodes[NODES];
    uint64_t last = 0;
    kev_heap_init(&heap);
    srand(1);
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i].deadline_ns = (uint64_t)rand() % 1000;
        CHECK_EQ(kev_heap_push(&heap, &nodes[i]), 0);
    }
    check_order(&heap);
    for (unsigned i = 0; i < NODES; i++) {
        struct kev_heap_node *node = kev_heap_first(&heap);
        CHECK(node->deadline_ns >= last);
        CHECK(node->deadline_ns == kev_heap_deadline(&heap));
        last = node->deadline_ns;
        kev_heap_remove(&heap, node);
        CHECK_EQ(node->index, KEV_HEAP_OUTSIDE);
    }
    CHECK_EQ(heap.count, 0);
    kev_heap_fini(&heap);
}

/* Equal deadlines come in the order in which they were pushed. */
TEST(heap_is_fair_among_equals)
{
    struct kev_heap heap;
    struct kev_heap_node nodes[NODES];
    kev_heap_init(&heap);
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i].deadline_ns = 7;
        CHECK_EQ(kev_heap_push(&heap, &nodes[i]), 0);
    }
    for (unsigned i = 0; i < NODES; i++) {
        CHECK(kev_heap_first(&heap) == &nodes[i]);
        kev_heap_remove(&heap, &nodes[i]);
    }
    kev_heap_fini(&heap);
}

TEST(heap_stays_one_when_any_node_leaves)
{
    struct kev_heap heap;
    struct kev_heap_node nodes[NODES];
    kev_heap_init(&heap);
    srand(2);
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i].index = KEV_HEAP_OUTSIDE;
    }
    for (unsigned step = 0; step < 20000; step++) {
        struct kev_heap_node *node = &nodes[rand() % NODES];
        if (node->index == KEV_HEAP_OUTSIDE) {
            node->deadline_ns = (uint64_t)rand() % 300;
            CHECK_EQ(kev_heap_push(&heap, node), 0);
        }
        else {
            kev_heap_remove(&heap, node);
        }
        if (step % 100 == 0) {
            check_order(&heap);
        }
    }
    check_order(&heap);
    kev_heap_fini(&heap);
}
