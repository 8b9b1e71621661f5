#ifndef KEV_AIO_STATE_LIST_H
#define KEV_AIO_STATE_LIST_H
#define KEV_AIO_STATE(X)
struct aio_cache { int unused; };
#endif
